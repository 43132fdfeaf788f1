/** Adapters in the bytes of `model.onnx_data`, so that the graph stays as it is. */
import { mergedInto } from '../adapters/merged-weight.js';
import type { AdapterValues } from '../adapters/network-adapter.js';
import { bytesOf, fromBytes } from '../backends/bytes.js';
import { FileError } from '../base/errors.js';
import { fromFloat32, toFloat32 } from '../formats/float-formats.js';
import { ZERO_POINT } from '../tensor/ops.js';
import { quantizeRows } from '../tensor/quantize-rows.js';
import { float32, floats, sizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import type { Bytes, StoredWeight, WeightIndex } from '../sampling/onnx/weight-index.js';

export interface ScaledAdapter {
  readonly values: AdapterValues;
  /** 1 as trained */
  readonly scale: number;
}

/** Names and shapes of the weights that an adapter may change. */
export const shapesOf = (index: WeightIndex): ReadonlyMap<string, Shape> =>
  new Map(Object.entries(index).map(([name, { shape }]) => [name, shape]));

/** Writes the weights with the adapters in them into `data`, which holds those without. @throws UserError when the file is too short */
export function patchWeights(
  data: Uint8Array,
  index: WeightIndex,
  adapters: readonly ScaledAdapter[],
  file: string,
): void {
  const end = Math.max(...Object.values(index).map(({ offset, bytes }) => offset + bytes));
  if (data.byteLength < end)
    throw new FileError(`${file}: ${data.byteLength} bytes, its index needs ${end}; is the download complete?`);
  for (const [name, stored] of Object.entries(index)) {
    const isChanged = name.endsWith('.weight') && adapters.some(({ values }) => values.has(name.slice(0, -7)));
    if (isChanged) put(data, stored, mergedInto(valueOf(data, stored), name, adapters));
  }
}

/** float32 */
function valueOf(data: Uint8Array, stored: StoredWeight): HostTensor {
  const part = ({ offset, bytes }: Bytes): Uint8Array => data.slice(offset, offset + bytes),
    { dtype, shape, scales } = stored;
  if (!scales) return toFloat32(fromBytes(part(stored), dtype, shape));
  const steps = floats(fromBytes(part(scales), 'float32', [shape[0]])),
    width = sizeOf(shape) / shape[0];
  return float32(
    Float32Array.from(part(stored), (q, i) => (q - ZERO_POINT) * steps[Math.floor(i / width)]),
    shape,
  );
}

function put(data: Uint8Array, { dtype, offset, scales }: StoredWeight, value: HostTensor): void {
  if (!scales) return data.set(bytesOf(fromFloat32(value, dtype)), offset);
  const packed = quantizeRows(value);
  data.set(bytesOf(packed.q), offset);
  data.set(bytesOf(packed.scales), scales.offset);
}
