/**
 * A primitive is one record: its shape rule, gradient, ONNX and TensorFlow.js forms, slow reference, samples to test them with.
 * The table is filled where primitives are defined; every pass and backend looks rules up by name.
 */
import { Node, type Attrs, type Tensor, type TensorType } from './tensor.js';
import type { DType, Shape } from './host.js';

type Tuple<T, N extends number> = number extends N
  ? readonly T[]
  : N extends 1
    ? readonly [T]
    : N extends 2
      ? readonly [T, T]
      : N extends 3
        ? readonly [T, T, T]
        : readonly T[];

/** Values of the reference backend: float64 for every dtype but float16, to which it rounds, so that finite differences are sharp. */
export interface RefArray {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** ONNX attributes carry their protobuf field. */
export type OnnxAttr =
  { i: number } | { f: number } | { s: string } | { ints: readonly number[] } | { floats: readonly number[] };

/** What a primitive's `onnx` rule writes to. */
export interface Emitter {
  /** Adds a node; gives fresh output names unless they are passed. */
  node(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[] | number,
    attrs?: Record<string, OnnxAttr>,
    domain?: string,
  ): string[];
  /** An int64 vector literal. */
  ints(values: readonly number[]): string;
  /**
   * An int64 vector that the runtime takes for an input that might change. ONNX Runtime then does not know the shape of what
   * is reshaped with it, and frees each buffer when its last reader is done, instead of keeping it for a later value of
   * the same shape: a training step needs a quarter less memory (docs/performance.md).
   */
  shape(values: readonly number[]): string;
  /**
   * Tells the runtime that a float32 value has this many axes, the last one of a size that nothing else has. It then takes two
   * values with that size for equal in shape, as writing in place needs, and no third one.
   */
  unlikeOthers(value: string, shape: Shape): void;
  /** A float32 literal. */
  floats(values: readonly number[], shape?: Shape): string;
}
export const MICROSOFT = 'com.microsoft';

export interface EmitIo<A extends Attrs> {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attrs: A;
  readonly inTypes: readonly TensorType[];
  readonly outTypes: readonly TensorType[];
}

/** What TensorFlow.js is, filled in by src/backends/tfjs/tfjs-types.ts. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- by declaration merging
export interface TfjsTypes {}
/* eslint-disable @typescript-eslint/no-explicit-any -- Who reads the published types need not have TensorFlow.js, and should not compile its 270 files. */
/** TensorFlow.js, handed in by the backend that loaded it. */
export type Tfjs = TfjsTypes extends { readonly module: infer Module } ? Module : any;
export type TfjsTensor = TfjsTypes extends { readonly tensor: infer Tensor } ? Tensor : any;
/* eslint-enable @typescript-eslint/no-explicit-any */

/** TensorFlow.js has one float, one integer and bool; 16-bit floats are widened, which loses nothing. */
export const TFJS_TYPE = {
  float32: 'float32',
  float16: 'float32',
  bfloat16: 'float32',
  int32: 'int32',
  int64: 'int32',
  uint8: 'int32',
  bool: 'bool',
} as const satisfies Record<DType, string>;

/** Gives new tensors, never an input itself; runs in a `tf.tidy`. */
export type TfjsRule<A extends Attrs, N extends number, Extra extends readonly unknown[] = []> = (
  tf: Tfjs,
  inputs: Tuple<TfjsTensor, N>,
  attrs: A,
  outTypes: readonly TensorType[],
  ...extra: Extra
) => TfjsTensor | readonly TfjsTensor[];

/**
 * How TensorFlow.js computes a primitive: on row-major tensors (a rule alone), or in any of the orders of elements that
 * it says. The backend keeps values in the order they are in as long as their readers allow it.
 */
export type TfjsForm<A extends Attrs, N extends number> =
  | TfjsRule<A, N>
  /** Element by element with broadcasting: on shapes that broadcast alike. */
  | { readonly order: 'any'; readonly run: TfjsRule<A, N> }
  /** Along axes of the first input, other inputs having only those: the rule is told which axes they are now. */
  | {
      readonly order: 'along';
      readonly axes: (attrs: A, input: TensorType) => readonly number[];
      readonly run: TfjsRule<A, N, [axes: number[]]>;
    }
  /** Treats axes alike: the same with the axes of inputs and results permuted, and these attributes. */
  | {
      readonly order: 'permuted';
      readonly attrs: (attrs: A, perm: readonly number[]) => A;
      readonly run: TfjsRule<A, N>;
    }
  /** Pictures [B, H, W, C] and filters [kh, kw, C, O]; attributes and `outTypes` stay those of [B, C, H, W]. */
  | { readonly order: 'channelsLast'; readonly run: TfjsRule<A, N> }
  /** Moves nothing: axes get other names (`perm`), or the same elements another shape (undefined). */
  | { readonly order: 'renamed'; readonly perm: (attrs: A) => readonly number[] | undefined };

export interface VjpContext<A extends Attrs> {
  readonly attrs: A;
  readonly outs: readonly Tensor[];
  /** Which inputs a gradient is wanted for; a rule may return undefined for the others. */
  readonly needs: readonly boolean[];
}

/** Arithmetic of one application: multiply-adds of products and convolutions, and all floating point operations (a multiply-add is two). */
export interface Cost {
  readonly macs: number;
  readonly flops: number;
}

export interface PrimitiveSample<A extends Attrs> {
  readonly shapes: readonly Shape[];
  readonly attrs: A;
  /** Values are drawn uniformly from this range; default [-1, 1]. */
  readonly range?: readonly [number, number];
  /** Inputs that hold whole numbers below this (indices, int32). */
  readonly indices?: Readonly<Record<number, number>>;
}

export interface Primitive<A extends Attrs, N extends number> {
  readonly name: string;
  readonly infer: (inputs: Tuple<TensorType, N>, attrs: A) => TensorType | readonly TensorType[];
  /** Cotangents of the inputs from those of the outputs (undefined: this output has none). */
  readonly vjp: (
    cts: readonly (Tensor | undefined)[],
    inputs: Tuple<Tensor, N>,
    ctx: VjpContext<A>,
  ) => Tuple<Tensor | undefined, N>;
  /** An ONNX op of the same signature, or a rule that emits nodes. */
  readonly onnx: string | ((emit: Emitter, io: EmitIo<A>) => void);
  readonly tfjs: TfjsForm<A, N>;
  readonly reference: (
    inputs: Tuple<RefArray, N>,
    attrs: A,
    outTypes: readonly TensorType[],
  ) => RefArray | readonly RefArray[];
  /** From shapes alone; left out: one operation per element of the results. */
  readonly cost?: (inputs: readonly TensorType[], attrs: A, outs: readonly TensorType[]) => Cost;
  readonly samples: readonly PrimitiveSample<A>[];
}

export type AnyPrimitive = Primitive<Attrs, number>;
const table = new Map<string, AnyPrimitive>();

export const primitives = (): ReadonlyMap<string, AnyPrimitive> => table;

/** @throws Error for a name nobody defined */
export function primitive(name: string): AnyPrimitive {
  const found = table.get(name);
  if (!found) throw new Error(`primitive: "${name}" is not defined`);
  return found;
}

/** Adds a primitive to the table and returns the function that applies it; it gives all results of the node. */
export function definePrimitive<A extends Attrs, N extends number>(
  record: Primitive<A, N>,
): (inputs: Tuple<Tensor, N>, attrs: A) => readonly [Tensor, ...Tensor[]] {
  if (table.has(record.name)) throw new Error(`primitive: "${record.name}" is defined twice`);
  table.set(record.name, record as unknown as AnyPrimitive); // rules are only ever called with nodes of this op
  return (inputs, attrs) => applyPrimitive(record as unknown as AnyPrimitive, inputs as readonly Tensor[], attrs);
}

export function applyPrimitive(
  rule: AnyPrimitive,
  inputs: readonly Tensor[],
  attrs: Attrs,
): readonly [Tensor, ...Tensor[]] {
  const types = rule.infer(inputs, attrs);
  return new Node(
    rule.name,
    inputs,
    Object.freeze({ ...attrs }),
    Array.isArray(types) ? (types as TensorType[]) : [types as TensorType],
  ).outs as readonly [Tensor, ...Tensor[]]; // every primitive has a result
}

/** @throws RangeError `<op>: <what>` */
export function check(ok: boolean, op: string, message: () => string): asserts ok {
  if (!ok) throw new RangeError(`${op}: ${message()}`);
}

export const shapeText = (shape: Shape): string => `[${shape.join(',')}]`;
