/** Means and softmax. */
import { operations } from '../cost.js';
import { sizeOf } from '../host.js';
import { definePrimitive, type RefArray } from '../primitive.js';
import type { Tensor } from '../tensor.js';
import { mul, sub } from './elementwise.js';
import { reshape } from './shape.js';
import { sum } from './sum-expand.js';

export function mean(x: Tensor, axes: readonly number[] = x.shape.map((_, i) => i)): Tensor {
  return mul(sum(x, axes), 1 / axes.reduce((n, a) => n * x.shape[a], 1));
}

/** Sum over the last axis, which stays with size 1. */
export const sumLast = (x: Tensor): Tensor => reshape(sum(x, [x.shape.length - 1]), [...x.shape.slice(0, -1), 1]);

const applySoftmax = definePrimitive<Record<never, never>, 1>({
  name: 'softmax',
  infer: ([x]) => x,
  vjp: ([ct], _inputs, { outs: [y] }) => [mul(y, sub(ct as Tensor, sumLast(mul(ct as Tensor, y))))],
  onnx: (emit, { inputs, outputs }) => void emit.node('Softmax', inputs, outputs, { axis: { i: -1 } }),
  tfjs: (tf, [x]) => tf.softmax(x),
  reference: ([x]): RefArray => {
    const width = x.shape[x.shape.length - 1];
    const data = new Float64Array(x.data.length);
    for (let row = 0; row < data.length; row += width) {
      const values = x.data.subarray(row, row + width);
      const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
      const weights = values.map((v) => Math.exp(v - top));
      const total = weights.reduce((a, b) => a + b, 0);
      data.set(
        weights.map((w) => w / total),
        row,
      );
    }
    return { shape: x.shape, data };
  },
  cost: ([x]) => operations(5 * sizeOf(x.shape)), // maximum, difference, exponential, sum, quotient
  samples: [{ shapes: [[2, 3, 5]], attrs: {}, range: [-3, 3] }],
});

/** Softmax over the last axis. */
export const softmax = (x: Tensor): Tensor => applySoftmax([x], {})[0];
