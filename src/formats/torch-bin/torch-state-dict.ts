/** What a state dict's pickle is made of: storages, strided views of them, and dicts. */
import { sizeOf, type DType, type HostTensor, type Shape, type TypedArray } from '../../tensor/host.js';
import { PickleError, PyDict, PyTuple, type Globals, type PickleRules, type PickleValue } from './pickle.js';
import { viewAs } from '../safetensors/safetensors.js';

type Elements = TypedArray | Float64Array | Int8Array | Int16Array;
interface StorageClass {
  readonly kind: 'class';
  readonly name: string;
  readonly bytes: number;
  readonly dtype: DType;
  readonly view: (data: ArrayBuffer) => Elements;
}
interface Storage {
  readonly kind: 'storage';
  readonly key: string;
  readonly type: StorageClass;
  readonly elements: number;
}
/** A view of a storage: element i, j, .. lies at `offset + i stride[0] + j stride[1] + ..` */
export interface StoredTensor {
  readonly kind: 'tensor';
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: Shape;
  readonly stride: readonly number[];
}
export type TorchValue = StorageClass | Storage | StoredTensor;
type Value = PickleValue<TorchValue>;

const storageClass = (
  name: string,
  bytes: number,
  dtype: DType,
  view = (data: ArrayBuffer): Elements => viewAs(dtype, data),
): StorageClass => ({ kind: 'class', name, bytes, dtype, view });
/** Types of torch that have no host type are widened or, for float64, rounded to float32. */
const STORAGES: readonly StorageClass[] = [
  storageClass('FloatStorage', 4, 'float32'),
  storageClass('HalfStorage', 2, 'float16'),
  storageClass('BFloat16Storage', 2, 'bfloat16'),
  storageClass('DoubleStorage', 8, 'float32', (data) => new Float64Array(data)),
  storageClass('LongStorage', 8, 'int64'),
  storageClass('IntStorage', 4, 'int32'),
  storageClass('ShortStorage', 2, 'int32', (data) => new Int16Array(data)),
  storageClass('CharStorage', 1, 'int32', (data) => new Int8Array(data)),
  storageClass('ByteStorage', 1, 'uint8'),
  storageClass('BoolStorage', 1, 'bool'),
];

export const dtypeOf = (storage: Storage): DType => storage.type.dtype;
const isKind = <K extends TorchValue['kind']>(value: Value, kind: K): value is Extract<TorchValue, { kind: K }> =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;
const isCount = (value: Value): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** @param storageBytes size of the storage of a key in the file, undefined when there is none */
export function torchRules(
  storageBytes: (key: string) => number | undefined,
  { checkpoint }: StateDictOptions = {},
): PickleRules<TorchValue> {
  const globals: Globals<TorchValue> = new Map<string, NonNullable<ReturnType<Globals<TorchValue>['get']>>>([
    ['collections.OrderedDict', { call: emptyDict }],
    ['torch._utils._rebuild_tensor_v2', { call: rebuildTensor }],
    ['torch._utils._rebuild_parameter', { call: ([tensor]) => tensorOf(tensor) }],
    ...STORAGES.map((type) => [`torch.${type.name}`, { value: type }] as const),
  ]);
  const inert = checkpoint ? { inert: (name: string) => INERT.test(name) } : {};
  return { globals, persistent: (id) => storageOf(id, storageBytes), ...inert };
}

export interface StateDictOptions {
  /** a training framework's checkpoint: what is not a tensor is left out, not refused */
  readonly checkpoint?: boolean;
}

/** What PyTorch Lightning and its kind store beside the weights: settings, counters, callbacks. */
const INERT =
  /^(?:(?:pytorch_lightning|lightning|lightning_fabric|numpy|omegaconf|ldm)\..+|_codecs\.encode|typing\..+|collections\.(?:defaultdict|Counter)|(?:builtins|__builtin__)\.(?:set|dict|list|int|float|bool|str|object|complex|slice)|torch\.(?:device|Size|float\w*|half|double|bfloat16|u?int\w*|long|bool))$/;

function emptyDict(args: readonly Value[]): Value {
  if (args.length > 0) throw new PickleError('makes an OrderedDict from a list');
  return new PyDict();
}

function tensorOf(value: Value): StoredTensor {
  if (!isKind(value, 'tensor')) throw new PickleError('makes a parameter of something that is not a tensor');
  return value;
}

/** `('storage', torch.FloatStorage, '0', 'cpu', 320)` */
function storageOf(id: Value, storageBytes: (key: string) => number | undefined): Storage {
  const [tag, type, key, , elements] = id instanceof PyTuple ? id.items : [];
  if (tag !== 'storage' || !isKind(type, 'class') || typeof key !== 'string' || !isCount(elements))
    throw new PickleError('refers to something that is not a storage');
  const bytes = storageBytes(key);
  if (bytes === undefined) throw new PickleError(`refers to storage "${key}", which the file does not have`);
  if (bytes !== elements * type.bytes)
    throw new PickleError(
      `storage "${key}" should have ${elements} elements of torch.${type.name}, it has ${bytes} bytes`,
    );
  return { kind: 'storage', key, type, elements };
}

/** Arguments: storage, offset, size, stride, requires_grad, backward_hooks[, metadata] */
function rebuildTensor([storage, offset, size, strides]: readonly Value[]): StoredTensor {
  const shape = size instanceof PyTuple ? size.items : [null],
    stride = strides instanceof PyTuple ? strides.items : [];
  if (
    !isKind(storage, 'storage') ||
    !isCount(offset) ||
    !shape.every(isCount) ||
    !stride.every(isCount) ||
    shape.length !== stride.length
  ) {
    throw new PickleError('makes a tensor without a valid storage, offset, size and stride');
  }
  const count = sizeOf(shape);
  const last = count === 0 ? offset - 1 : shape.reduce((at, d, axis) => at + (d - 1) * stride[axis], offset);
  if (last >= storage.elements || !Number.isSafeInteger(count)) {
    throw new PickleError(
      `a tensor of shape [${shape}], stride [${stride}] and offset ${offset} reaches element ${last} of storage "${storage.key}", which has ${storage.elements}`,
    );
  }
  return { kind: 'tensor', storage, offset, shape, stride };
}

/**
 * Names and tensors of a state dict, or of the one under the key `state_dict`.
 * @param leftOut is told the names of what is no tensor; without it that is refused
 */
export function stateDictOf(root: Value, leftOut?: (name: string) => void): Map<string, StoredTensor> {
  const inner = root instanceof PyDict ? root.map.get('state_dict') : undefined;
  const dict = inner instanceof PyDict ? inner : root;
  if (!(dict instanceof PyDict)) throw new PickleError('does not hold a dict of tensors');
  const tensors = new Map<string, StoredTensor>();
  if (dict !== root && root instanceof PyDict)
    for (const name of root.map.keys()) if (name !== 'state_dict') leftOut?.(String(name));
  for (const [name, value] of dict.map) {
    if (typeof name === 'string' && isKind(value, 'tensor')) tensors.set(name, value);
    else if (leftOut) leftOut(String(name));
    else throw new PickleError(`entry ${JSON.stringify(name)} is not a tensor`);
  }
  return tensors;
}

/** The tensor's values in row-major order. @param data all bytes of its storage */
export function materialise({ storage, offset, shape, stride }: StoredTensor, data: ArrayBuffer): HostTensor {
  const { dtype, view } = storage.type;
  const from = view(data),
    into = viewAs(dtype, new ArrayBuffer(sizeOf(shape) * viewAs(dtype, new ArrayBuffer(0)).BYTES_PER_ELEMENT));
  // Both hold numbers, or both bigints (int64).
  const source = from as unknown as number[],
    out = into as unknown as number[];
  const rank = shape.length,
    inner = rank === 0 ? 1 : shape[rank - 1],
    step = rank === 0 ? 1 : stride[rank - 1];
  const index = new Array<number>(rank).fill(0);
  for (let at = 0, row = offset; at < out.length;) {
    for (let i = 0; i < inner; i++) out[at++] = source[row + i * step];
    // The next row: count up the outer indices like an odometer.
    for (let axis = rank - 2; axis >= 0; axis--) {
      row += stride[axis];
      if (++index[axis] < shape[axis]) break;
      row -= shape[axis] * stride[axis];
      index[axis] = 0;
    }
  }
  return { dtype, shape, data: into };
}
