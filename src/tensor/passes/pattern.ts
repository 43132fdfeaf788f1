/** Patterns of small graphs, and rules made of them. */
import type { HostTensor } from '../host.js';
import type { Tensor } from '../tensor.js';

export type Bound = Readonly<Record<string, Tensor>>;

export type Pattern =
  | { readonly kind: 'any'; readonly name: string }
  /** A literal that holds one value, of any shape. */
  | { readonly kind: 'literal'; readonly name: string; readonly value?: number }
  | { readonly kind: 'op'; readonly op: string; readonly inputs: readonly Pattern[] };

export interface Rule {
  /** What is claimed to be equal, for readers and test titles. */
  readonly law: string;
  readonly match: Pattern;
  /** The replacement; undefined when a condition on shapes or attributes does not hold. `out` is what matched. */
  readonly to: (bound: Bound, out: Tensor) => Tensor | undefined;
  /** A graph that the rule rewrites, for the sweep that checks values. x is [2, 3, 4], y [4]. */
  readonly example: (x: Tensor, y: Tensor) => Tensor;
}

export const any = (name: string): Pattern => ({ kind: 'any', name });
export const literal = (name: string): Pattern => ({ kind: 'literal', name });
export const is = (value: number): Pattern => ({ kind: 'literal', name: `is ${value}`, value });
export const op = (name: string, ...inputs: Pattern[]): Pattern => ({ kind: 'op', op: name, inputs });

const COMMUTATIVE = new Set(['add', 'mul', 'minimum', 'maximum']);

/** The bindings under which `tensor` is the pattern, else undefined. Operands of commutative ops match in both orders. */
export function matches(pattern: Pattern, tensor: Tensor, bound: Bound = {}): Bound | undefined {
  if (pattern.kind === 'any') {
    const before = bound[pattern.name];
    return before === undefined || before === tensor ? { ...bound, [pattern.name]: tensor } : undefined;
  }
  if (pattern.kind === 'literal') {
    const value = uniformValue(tensor);
    return value !== undefined && (pattern.value === undefined || pattern.value === value)
      ? { ...bound, [pattern.name]: tensor }
      : undefined;
  }
  const { op: name, inputs } = tensor.node;
  if (name !== pattern.op || inputs.length !== pattern.inputs.length) return undefined;
  const inOrder = matchAll(pattern.inputs, inputs, bound);
  return inOrder ?? (COMMUTATIVE.has(name) ? matchAll(pattern.inputs, [inputs[1], inputs[0]], bound) : undefined);
}

function matchAll(patterns: readonly Pattern[], tensors: readonly Tensor[], bound: Bound): Bound | undefined {
  if (!patterns.every((p, i) => fitsAtAll(p, tensors[i]))) return undefined; // nearly always, and without allocating
  let result: Bound | undefined = bound;
  for (let i = 0; i < patterns.length && result; i++) result = matches(patterns[i], tensors[i], result);
  return result;
}

const fitsAtAll = (pattern: Pattern, { node }: Tensor): boolean =>
  pattern.kind === 'any' || node.op === (pattern.kind === 'op' ? pattern.op : 'constant');

const uniform = new WeakMap<object, number | undefined>();

/** The value of a float32 literal scalar, or of one that repeats a value (`fill`); undefined for everything else. */
export function uniformValue({ node, dtype }: Tensor): number | undefined {
  if (node.op !== 'constant' || dtype !== 'float32') return undefined;
  const data = (node.payload as HostTensor).data as Float32Array;
  if (!uniform.has(data)) uniform.set(data, data.every((v) => v === data[0]) ? data[0] : undefined);
  return uniform.get(data);
}
