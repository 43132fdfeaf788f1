/** A program as an ONNX model: leaves become inputs and initializers, primitives their ONNX form. */
import { sizeOf, type DType, type HostTensor, type Shape } from '../../tensor/host.js';
import { primitive, type AnyPrimitive, type Emitter, type OnnxAttr } from '../../tensor/primitive.js';
import { isLeaf, leafName, topo, type Node, type Tensor, type WeightSource } from '../../tensor/tensor.js';
import { rootsOf, type Program } from '../backend.js';
import { bytesOf } from '../bytes.js';
import { signature } from '../signature.js';
import { chunkedUpdates, type ChunkedUpdate } from './chunked-updates.js';
import { OpenShapes } from './open-shapes.js';
import type { OpenSizes } from './open-sizes.js';
import {
  attribute,
  encodeModel,
  externalTensor,
  graphAttribute,
  rawTensor,
  type LooseValueInfo,
  type NodeProto,
  type TensorProto,
  type ValueInfo,
} from './proto.js';

/** Graph inputs that are fed are called so, and the name of their leaf. */
export const INPUT = 'in:';

export interface EmittedProgram {
  readonly model: Uint8Array;
  /** fed at each run */
  readonly inputs: readonly ValueInfo[];
  /** state leaves: fed from the state store under `graphName` */
  readonly states: readonly { readonly name: string; readonly graphName: string }[];
  readonly outputs: readonly Emitted[];
  readonly updates: readonly Emitted[];
  /** One more output, the first: the binding of Node cannot hand it over. */
  readonly withheld: string | null;
  /** An error of the runtime, which names an ONNX node, with the primitive and shapes that node came from. */
  readonly explain: (message: string) => string;
}

/** A result of the program as an output of the graph, which may have the same elements in another shape. */
export interface Emitted {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly graphName: string;
  readonly graphShape: Shape;
}

/** Where the model finds a weight's bytes: a location beside the model file. */
export type Locate = (source: Extract<WeightSource, { file: string }>) => string;

/** primitive -> the form of it that a device needs; of the others their own form is taken */
export type Lowering = Readonly<Record<string, AnyPrimitive['onnx']>>;

export interface EmitOptions {
  /** what the device needs in place of the forms of primitives */
  readonly lowering?: Lowering;
  /**
   * Results of a program with updates go to memory of the caller, new values of large states are computed chunk by chunk. One
   * more output is of a kind that the binding of Node cannot hand over; the worker says why.
   */
  readonly overwrites?: boolean;
  /** For a file that other programs run, not for ours. */
  readonly portable?: Portable;
}

/** Inputs and results have the names of the program, weights those of their keys, and some sizes stay open. */
export interface Portable {
  readonly opset: number;
  readonly sizes: OpenSizes;
}
const WITHHELD = 'withheld';

/** @throws Error naming the primitive and shapes when a rule cannot be emitted */
export function emitProgram(
  program: Program,
  locate: Locate,
  { lowering = {}, overwrites = false, portable }: EmitOptions = {},
): EmittedProgram {
  const results = (kind: string, entries: Readonly<Record<string, Tensor>> = {}): Result[] =>
    Object.entries(entries).map(([name, value]) => ({ name, value, graphName: portable ? name : `${kind}:${name}` }));
  const outputs = results('out', program.outputs),
    updates = results('new', program.updates);
  const emission = new Emission(locate, lowering, [...outputs, ...updates], portable);
  const withheld = overwrites && updates.length > 0,
    groups = withheld ? chunkedUpdates(program) : [];
  const groupOf = new Map(groups.flatMap((group) => group.nodes.map((node) => [node, group])));
  for (const node of topo(rootsOf(program))) {
    const group = groupOf.get(node);
    if (!group) emission.add(node);
    else if (node === group.nodes[group.nodes.length - 1]) emission.chunked(group);
  }
  const computed = [...outputs, ...updates].map((result) => emission.result(result));
  const graphOutputs = withheld ? [emission.withheld(), ...computed] : computed;
  const placed = (list: readonly Result[], from: number): Emitted[] =>
    list.map(({ name, graphName, value: { dtype, shape } }, i) => ({
      name,
      dtype,
      shape,
      graphName,
      graphShape: computed[from + i].shape,
    }));
  const parts = {
    outputs: placed(outputs, 0),
    updates: placed(updates, outputs.length),
    withheld: withheld ? WITHHELD : null,
  };
  const inputs = [...emission.inputs, ...emission.states.map((s) => s.value), ...emission.shapes];
  return {
    model: encodeModel({
      name: program.name,
      nodes: emission.nodes,
      initializers: portable ? emission.readInitializers() : emission.initializers,
      inputs,
      outputs: graphOutputs,
      values: emission.values,
      ...(portable && { opset: portable.opset }),
    }),
    inputs: emission.inputs,
    states: emission.states.map((s) => ({ name: s.name, graphName: s.value.name })),
    ...parts,
    explain: explainer(emission.labels),
  };
}

interface Result {
  readonly name: string;
  readonly value: Tensor;
  readonly graphName: string;
}

/** Node names begin with `<primitive>_<id>/`. */
const NODE_NAME = /(\w+_\d+)\//;

const explainer =
  (labels: ReadonlyMap<string, string>) =>
  (message: string): string => {
    const label = labels.get(NODE_NAME.exec(message)?.[1] ?? '');
    return label === undefined ? message : `${label}: ${message}`;
  };

class Emission implements Emitter {
  nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  readonly inputs: ValueInfo[] = [];
  readonly states: { name: string; value: ValueInfo }[] = [];
  /**
   * Defaults of graph inputs that nobody feeds. Of no known length: were the rank of what is reshaped known, the planner of ONNX
   * Runtime (1.30) would compare each value with all dead ones in vain, seconds for a training step.
   */
  readonly shapes: LooseValueInfo[] = [];
  /** whose shapes operators do not tell */
  readonly values: LooseValueInfo[] = [];
  /** `<primitive>_<id>` -> its signature; text, so that a running program does not hold the graph */
  readonly labels = new Map<string, string>();
  private readonly names = new Map<Tensor, string>();
  /** What a primitive computes as a result of the program is called so from the start, and not copied to get its name. */
  private readonly resultNames = new Map<Tensor, string>();
  private readonly literals = new Map<string, string>();
  private readonly weights = new Map<string, { readonly name: string; readonly shape: Shape }>();
  private readonly leaves = new Map<string, string>();
  private readonly identities = new Map<object, number>();
  /** of results that are computed in another shape than they have */
  private readonly chunkShapes = new Map<Tensor, Shape>();
  /** Nodes by the order in which they are emitted: equal programs give equal files. */
  private readonly order = new Map<Node, number>();
  private readonly open: OpenShapes | undefined;
  private fresh = 0;
  private current = '';

  constructor(
    private readonly locate: Locate,
    private readonly lowering: Lowering,
    results: readonly Result[],
    private readonly portable?: Portable,
  ) {
    if (portable) this.open = new OpenShapes(portable.sizes, this, this.inputs);
    for (const { value, graphName } of results)
      if (!isLeaf(value.node) && !this.resultNames.has(value)) this.resultNames.set(value, graphName);
  }

  add(node: Node): void {
    const [out] = node.outs;
    const fed = (name: string): string => (this.portable ? name : `${INPUT}${name}`);
    if (node.op === 'input') this.leaf(out, fed(leafName(out)), (value) => this.inputs.push(this.opened(value)));
    else if (node.op === 'state')
      this.leaf(out, `state:${leafName(out)}`, (value) => this.states.push({ name: leafName(out), value }));
    else if (node.op === 'constant') this.names.set(out, this.literal(node.payload as HostTensor));
    else if (node.op === 'weight') this.names.set(out, this.weight(node, node.payload as WeightSource));
    else if (node.op === 'parameter') throw new Error(`emit: parameter "${leafName(out)}" is not bound to a state`);
    else this.primitive(node);
  }

  /** One Scan over chunks of vectors. Its body reads numbers from the graph around it. */
  chunked({ nodes, inputs, outputs, size, chunk }: ChunkedUpdate): void {
    const rows = [size / chunk, chunk],
      part = (name: string): ValueInfo => ({ name, dtype: 'float32', shape: [chunk] });
    this.current = `chunked_${this.idOf(nodes[0])}`;
    this.labels.set(this.current, `new values of [${size}], chunk by chunk`);
    const wholes = inputs.map((input) => this.names.get(input) as string),
      around = this.nodes;
    const scanned = wholes.map((whole) => this.node('Reshape', [whole, this.shape(rows)], 1)[0]);
    this.nodes = [];
    const parts = inputs.map((input) => {
      const name = `#${this.fresh++}`;
      this.names.set(input, name);
      return part(name);
    });
    for (const node of nodes) this.primitive(node, true);
    const body = {
      name: 'chunk',
      nodes: this.nodes,
      inputs: parts,
      outputs: outputs.map((out) => part(this.names.get(out) as string)),
    };
    this.nodes = around;
    inputs.forEach((input, i) => this.names.set(input, wholes[i]));
    this.current = `chunked_${this.idOf(nodes[0])}`;
    this.node(
      'Scan',
      scanned,
      outputs.map((out) => this.resultNames.get(out) as string),
      { num_scan_inputs: { i: inputs.length } },
      '',
      [graphAttribute('body', body)],
    );
    for (const out of outputs) this.chunkShapes.set(out, rows);
  }

  private idOf(node: Node): number {
    const id = this.order.get(node) ?? this.order.size;
    this.order.set(node, id);
    return id;
  }

  private primitive(node: Node, inner = false): void {
    const onnx = this.lowering[node.op] ?? primitive(node.op).onnx,
      id = this.idOf(node);
    const inputs = node.inputs.map((i) => this.names.get(i) as string);
    const outputs = node.outs.map(
      (out, i) => (inner ? undefined : this.resultNames.get(out)) ?? `%${id}${i > 0 ? `.${i}` : ''}`,
    );
    this.current = `${node.op}_${id}`;
    this.labels.set(this.current, signature(node));
    try {
      if (typeof onnx === 'string') this.node(onnx, inputs, outputs);
      else onnx(this, { inputs, outputs, attrs: node.attrs, inTypes: node.inputs, outTypes: node.outs });
    } catch (error) {
      throw new Error(`${signature(node)}: ${(error as Error).message}`, { cause: error });
    }
    node.outs.forEach((out, i) => this.names.set(out, outputs[i]));
  }

  node(
    opType: string,
    input: readonly string[],
    outputs: readonly string[] | number,
    attrs: Record<string, OnnxAttr> = {},
    domain = '',
    graphs: readonly object[] = [],
  ): string[] {
    const output =
      typeof outputs === 'number' ? Array.from({ length: outputs }, () => `#${this.fresh++}`) : [...outputs];
    this.nodes.push({
      opType,
      domain,
      name: `${this.current}/${opType}.${this.nodes.length}`,
      input,
      output,
      attribute: [...Object.entries(attrs).map(([k, v]) => attribute(k, v)), ...graphs],
    });
    return output;
  }

  ints(values: readonly number[], use = ''): string {
    return this.open?.vector(values) ?? this.literal(vectorOf(values), use);
  }

  shape(values: readonly number[]): string {
    if (this.portable) return this.ints(values);
    const known = this.initializers.length,
      name = this.ints(values, 'shape');
    if (this.initializers.length > known) this.shapes.push({ name, dtype: 'int64' });
    return name;
  }

  unlikeOthers(value: string, shape: Shape): void {
    const open = [...shape.slice(1).map(() => undefined), `only ${value}`];
    this.values.push({ name: value, dtype: 'float32', shape, open });
  }

  floats(values: readonly number[], shape: readonly number[] = [values.length]): string {
    return this.literal({ dtype: 'float32', shape, data: Float32Array.from(values) });
  }

  /** A graph output. A leaf, or a tensor wanted twice, is copied: it has a name already. */
  result({ value, graphName }: Result): ValueInfo {
    this.current = graphName;
    if (this.resultNames.get(value) !== graphName)
      this.node('Identity', [this.names.get(value) as string], [graphName]);
    return this.opened({ name: graphName, dtype: value.dtype, shape: this.chunkShapes.get(value) ?? value.shape });
  }

  /** Those that a node reads, or that are results. */
  readInitializers(): TensorProto[] {
    const read = new Set(this.nodes.flatMap(({ input }) => input));
    return this.initializers.filter(({ name }) => read.has(name));
  }

  private opened(value: ValueInfo): ValueInfo {
    return this.open ? { ...value, open: this.open.names(value.shape) } : value;
  }

  withheld(): LooseValueInfo {
    this.current = WITHHELD;
    this.node('SequenceConstruct', [this.floats([0], [])], [WITHHELD]);
    return { name: WITHHELD, dtype: 'float32', shape: [], sequence: true };
  }

  /** Input and state leaves of equal name are one graph input; their types must agree. */
  private leaf(out: Tensor, name: string, declare: (value: ValueInfo) => void): void {
    const type = `${out.dtype}[${out.shape}]`,
      known = this.leaves.get(name);
    if (known !== undefined && known !== type) throw new Error(`emit: "${name}" is used as ${known} and as ${type}`);
    if (known === undefined) {
      this.leaves.set(name, type);
      declare({ name, dtype: out.dtype, shape: out.shape });
    }
    this.names.set(out, name);
  }

  /** Equal literals of one use share an initializer. */
  private literal(value: HostTensor, use = ''): string {
    const bytes = bytesOf(value);
    const key = bytes.byteLength <= 64 ? `${use}${value.dtype}[${value.shape}]${bytes}` : uniformKey(value);
    const known = key === undefined ? undefined : this.literals.get(key);
    if (known !== undefined) return known;
    const name = `c${this.initializers.length}`;
    this.initializers.push(rawTensor(name, value.dtype, value.shape, bytes));
    if (key !== undefined) this.literals.set(key, name);
    return name;
  }

  /**
   * The same values in two shapes are mapped once and reshaped as the program runs, which moves nothing. Not so with 16 bits:
   * what is widened after a reshape would be widened at each run.
   */
  private weight(node: Node, source: WeightSource): string {
    const [out] = node.outs;
    const place = `weight:${'file' in source ? `${source.file}:${source.offset}` : `#${this.identity(source.value)}`}:${out.dtype}${out.dtype === 'float32' ? sizeOf(out.shape) : `[${out.shape}]`}`;
    const known = this.weights.get(place);
    if (known !== undefined)
      return String(known.shape) === String(out.shape)
        ? known.name
        : this.reshaped(known.name, out.shape, `weight_${this.idOf(node)}`);
    const name = this.portable ? source.key : `w${this.initializers.length}:${source.key}`;
    if ('file' in source)
      this.initializers.push(
        externalTensor(name, out.dtype, out.shape, this.locate(source), source.offset, source.bytes),
      );
    else this.initializers.push(rawTensor(name, out.dtype, out.shape, bytesOf(source.value)));
    this.weights.set(place, { name, shape: out.shape });
    return name;
  }

  private reshaped(weight: string, shape: Shape, current: string): string {
    const key = `${weight}[${shape}]`,
      known = this.literals.get(key);
    if (known !== undefined) return known;
    this.current = current;
    const [name] = this.node('Reshape', [weight, this.shape(shape)], 1);
    this.literals.set(key, name);
    return name;
  }

  /** Weights in memory are told apart by their values: two adapters call theirs alike. */
  private identity({ data }: HostTensor): number {
    const id = this.identities.get(data) ?? this.identities.size;
    this.identities.set(data, id);
    return id;
  }
}

const vectorOf = (values: readonly number[]): HostTensor => ({
  dtype: 'int64',
  shape: [values.length],
  data: BigInt64Array.from(values, BigInt),
});

/** A key for a float32 literal of one repeated value (the unit scales of group norms). */
function uniformKey({ dtype, shape, data }: HostTensor): string | undefined {
  if (!(data instanceof Float32Array) || sizeOf(shape) === 0) return undefined;
  const [first] = data;
  return data.every((v) => v === first) ? `${dtype}[${shape}]=${first}` : undefined;
}
