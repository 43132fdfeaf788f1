/** Values by the primitives' reference rules, in float64 between reading and writing. */
import type { Feeds } from '../backend.js';
import type { DType, HostTensor, TypedArray } from '../../tensor/host.js';
import { bfloat16ToFloat, float16ToFloat, floatToBfloat16, floatToFloat16 } from '../../tensor/half.js';
import { primitive, type RefArray } from '../../tensor/primitive.js';
import { leafName, topo, type Node, type Tensor } from '../../tensor/tensor.js';

/** The value of a tensor that is made of inputs and literals. @throws Error for an input that is not fed, or another leaf */
export function evaluate(result: Tensor, feeds: Feeds): HostTensor {
  const values = new Map<Tensor, RefArray>();
  for (const node of topo([result])) {
    const results =
      node.op === 'constant' ? [literal(node)] : node.op === 'input' ? [fed(node, feeds)] : applied(node, values);
    node.outs.forEach((out, i) => values.set(out, rounded(out, results[i])));
  }
  return fromReference(values.get(result) as RefArray, result.dtype);
}

function fed({ outs: [out] }: Node, feeds: Feeds): RefArray {
  const value = feeds[leafName(out)];
  if (!value) throw new Error(`reference: input "${leafName(out)}" was not fed`);
  return toReference(value);
}

export const literal = (node: Node): RefArray => toReference(node.payload as HostTensor);

/** What a primitive gives for values that are known. */
export function applied(node: Node, values: ReadonlyMap<Tensor, RefArray>): readonly RefArray[] {
  const result = primitive(node.op).reference(
    node.inputs.map((i) => values.get(i) as RefArray),
    node.attrs,
    node.outs,
  );
  return Array.isArray(result) ? (result as RefArray[]) : [result as RefArray];
}

/** float16 is rounded to, as what computes in it would. */
export const rounded = ({ dtype }: Tensor, value: RefArray): RefArray =>
  dtype === 'float16' ? toReference(fromReference(value, 'float16')) : value;

export function toReference({ dtype, shape, data }: HostTensor): RefArray {
  if (dtype === 'float16') return { shape, data: Float64Array.from(data as Uint16Array, float16ToFloat) };
  if (dtype === 'bfloat16') return { shape, data: Float64Array.from(data as Uint16Array, bfloat16ToFloat) };
  return { shape, data: Float64Array.from(data as ArrayLike<number>, Number) };
}

/** How numbers become elements of a dtype: rounded to its precision. */
const ELEMENTS: Record<DType, (numbers: Float64Array) => TypedArray> = {
  float32: (numbers) => Float32Array.from(numbers),
  float16: (numbers) => Uint16Array.from(numbers, floatToFloat16),
  bfloat16: (numbers) => Uint16Array.from(numbers, floatToBfloat16),
  int32: (numbers) => Int32Array.from(numbers),
  int64: (numbers) => BigInt64Array.from(Array.from(numbers, BigInt)),
  uint8: (numbers) => Uint8Array.from(numbers),
  bool: (numbers) => Uint8Array.from(numbers, (v) => Number(v !== 0)),
};

export const fromReference = ({ shape, data }: RefArray, dtype: DType): HostTensor => ({
  dtype,
  shape,
  data: ELEMENTS[dtype](data),
});
