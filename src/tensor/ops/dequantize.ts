/** Weights in 8 bits, one scale per row; computation stays in float32. */
import { multiplyAdds } from '../cost.js';
import { sizeOf } from '../host.js';
import { check, definePrimitive, shapeText } from '../primitive.js';
import type { Tensor } from '../tensor.js';
import { mul, sub } from './elementwise.js';
import { sum } from './sum-expand.js';
import { after } from './recompute.js';
import { cast, reshape } from './shape.js';

type None = Record<never, never>;

/** What stands for 0. */
export const ZERO_POINT = 128;

const apply = definePrimitive<None, 2>({
  name: 'dequantize',
  infer: ([q, scale]) => {
    check(
      q.shape.length > 0 && scale.shape.length === 1 && scale.shape[0] === q.shape[0],
      'dequantize',
      () =>
        `${shapeText(q.shape)} with scales ${shapeText(scale.shape)}; need one scale for each index of the first axis`,
    );
    return { dtype: 'float32', shape: q.shape };
  },
  vjp: ([ct], [q]) => {
    const axes = q.shape.map((_, i) => i).slice(1),
      products = mul(ct as Tensor, sub(cast(q, 'float32'), ZERO_POINT));
    return [undefined, axes.length > 0 ? sum(products, axes) : products];
  },
  onnx: (emit, { inputs: [q, scale], outputs, inTypes: [{ dtype, shape }] }) => {
    const UINT8 = { to: { i: 2 } };
    const [bytes] = dtype === 'uint8' ? [q] : emit.node('Cast', [q], 1, UINT8);
    const [zero] = emit.node('Cast', [emit.floats(Array<number>(shape[0]).fill(ZERO_POINT))], 1, UINT8);
    emit.node('DequantizeLinear', [bytes, scale, zero], outputs, { axis: { i: 0 } });
  },
  tfjs: (tf, [q, scale]) =>
    tf.mul(tf.sub(tf.cast(q, 'float32'), ZERO_POINT), tf.reshape(scale, [-1, ...q.shape.slice(1).map(() => 1)])),
  reference: ([q, scale]) => {
    const width = sizeOf(q.shape) / q.shape[0];
    return { shape: q.shape, data: q.data.map((v, i) => (v - ZERO_POINT) * scale.data[Math.floor(i / width)]) };
  },
  cost: ([q]) => multiplyAdds(0, 2 * sizeOf(q.shape)),
  samples: [
    { shapes: [[3, 4], [3]], attrs: {}, indices: { 0: 256 } },
    { shapes: [[2, 3, 1, 2], [2]], attrs: {}, indices: { 0: 256 } },
  ],
});

/** (q - 128) * scale by rows: q whole numbers 0 to 255 [O, ...], scale [O] -> float32 [O, ...] */
export const dequantize = (q: Tensor, scale: Tensor): Tensor => apply([q, scale], {})[0];

/** Whether it is a weight in 8 bits that `unpackedAfter` handles, reshaped or not. */
export const isPacked = (weight: Tensor): boolean =>
  weight.node.op === 'dequantize' || (weight.node.op === 'reshape' && isPacked(weight.node.inputs[0]));

/**
 * A weight that its reader unpacks for itself, when it comes to it, and drops: unpacked early or kept for the gradient,
 * it would take the memory that packing saved. Gives back what is not packed.
 */
export function unpackedAfter(weight: Tensor, others: readonly Tensor[]): Tensor {
  const { op, inputs } = weight.node;
  if (op === 'reshape') {
    const inner = unpackedAfter(inputs[0], others);
    return inner === inputs[0] ? weight : reshape(inner, weight.shape);
  }
  if (op !== 'dequantize') return weight;
  const [q, scale] = inputs;
  return dequantize(after(q.node.op === 'after' ? q.node.inputs[0] : q, others), scale);
}
