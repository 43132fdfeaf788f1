/**
 * Symbolic tensors: frozen nodes with static shapes. Building one computes nothing; a backend runs what outputs reach.
 */
import { sizeOf, type DType, type HostTensor, type Shape } from './host.js';

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Attribute values are plain data, so that nodes can be printed, compared and serialised. */
export type AttrValue = number | string | boolean | readonly number[];
export type Attrs = Readonly<Record<string, AttrValue>>;

/** Where the bytes of a frozen weight are: a slice of a file (row-major, little-endian) or a value in memory. */
export type WeightSource =
  | { readonly key: string; readonly file: string; readonly offset: number; readonly bytes: number }
  | { readonly key: string; readonly value: HostTensor };

/** Creation order; inputs are always older than their readers, so sorting by id is a topological order. */
let nextId = 0;

export class Node {
  readonly id = nextId++;
  /** One symbolic tensor per result of the primitive. */
  readonly outs: readonly Tensor[];

  constructor(
    readonly op: string,
    readonly inputs: readonly Tensor[],
    readonly attrs: Attrs,
    types: readonly TensorType[],
    /** Data of `constant` and `weight` leaves. */
    readonly payload?: HostTensor | WeightSource,
  ) {
    this.outs = types.map((type, index) =>
      Object.freeze({ node: this, index, dtype: type.dtype, shape: Object.freeze([...type.shape]) }),
    );
    Object.freeze(this);
  }
}

/** Result `index` of a node. */
export interface Tensor extends TensorType {
  readonly node: Node;
  readonly index: number;
}

/** Ops that have no inputs and no gradient rule of their own. */
const LEAF_OPS = ['input', 'constant', 'weight', 'parameter', 'state'] as const;
export type LeafOp = (typeof LEAF_OPS)[number];
export const isLeaf = (node: Node): boolean => (LEAF_OPS as readonly string[]).includes(node.op);

function leaf(op: LeafOp, attrs: Attrs, type: TensorType, payload?: HostTensor | WeightSource): Tensor {
  return new Node(op, [], attrs, [type], payload).outs[0];
}

/** A value fed at every run. */
export const input = (name: string, shape: Shape, dtype: DType = 'float32'): Tensor =>
  leaf('input', { name }, { shape, dtype });

/** A literal that is part of the program. */
export const constant = (value: HostTensor): Tensor => leaf('constant', {}, value, value);

/** A float32 literal: a scalar, or one value repeated over a shape that is materialised in the program. */
export function fill(value: number, shape: Shape = []): Tensor {
  return constant({ dtype: 'float32', shape, data: new Float32Array(sizeOf(shape)).fill(value) });
}

/** A frozen weight, read by the backend straight from its source. */
export const weight = (source: WeightSource, type: TensorType): Tensor =>
  leaf('weight', { key: source.key }, type, source);

/** A trainable value by name; `Parameters.bind` decides which backend state holds it. */
export const parameter = (name: string, shape: Shape): Tensor =>
  leaf('parameter', { name }, { shape, dtype: 'float32' });

/** A buffer that stays with the backend between runs and that a program may update. */
export const state = (name: string, shape: Shape, dtype: DType = 'float32'): Tensor =>
  leaf('state', { name }, { shape, dtype });

/** The name of an `input`, `parameter` or `state` leaf. */
export function leafName(tensor: Tensor): string {
  return String(tensor.node.attrs['name']);
}

/** Every node that the outputs reach, inputs before readers. */
export function topo(outputs: Iterable<Tensor>): Node[] {
  const seen = new Set<Node>();
  const stack = [...outputs].map((o) => o.node);
  while (stack.length > 0) {
    const node = stack.pop() as Node;
    if (seen.has(node)) continue;
    seen.add(node);
    for (const i of node.inputs) if (!seen.has(i.node)) stack.push(i.node);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/**
 * The sizes of a tensor, checked against letters: `dims(x, 'B C H W')`. Repeated letters must agree, digits must match.
 * @throws RangeError naming the expected letters and the actual shape
 */
export function dims(x: TensorType, pattern: string): number[] {
  const letters = pattern.split(' ');
  const known = new Map<string, number>();
  const fits =
    letters.length === x.shape.length &&
    letters.every((letter, i) => {
      const expected = /^\d+$/.test(letter) ? Number(letter) : (known.get(letter) ?? x.shape[i]);
      known.set(letter, expected);
      return expected === x.shape[i];
    });
  if (!fits) throw new RangeError(`dims: shape [${x.shape}] is not [${pattern}]`);
  return [...x.shape];
}
