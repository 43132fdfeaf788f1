/** Reductions over given axes (dropped from the shape), and softmax over the last axis. */
import { sizeOf, type Shape } from '../host.js';
import { operations } from '../cost.js';
import { walk } from '../broadcast.js';
import { check, definePrimitive, shapeText, type RefArray } from '../primitive.js';
import type { Tensor } from '../tensor.js';
import { mul, sub } from './elementwise.js';
import { expand, reshape } from './shape.js';

const keepDims = (shape: Shape, axes: readonly number[]): number[] => shape.map((d, i) => (axes.includes(i) ? 1 : d));

const applySum = definePrimitive<{ axes: readonly number[] }, 1>({
  name: 'sum',
  infer: ([x], { axes }) => {
    check(axes.every((a) => a >= 0 && a < x.shape.length), 'sum', () => `axes [${axes}] outside shape ${shapeText(x.shape)}`);
    return { dtype: x.dtype, shape: x.shape.filter((_, i) => !axes.includes(i)) };
  },
  vjp: ([ct], [x], { attrs }) => [expand(reshape(ct as Tensor, keepDims(x.shape, attrs.axes)), x.shape)],
  onnx: (emit, { inputs, outputs, attrs }) => void emit.node('ReduceSum', [inputs[0], emit.ints(attrs.axes)], outputs, { keepdims: { i: 0 } }),
  tfjs: { order: 'along', axes: ({ axes }) => axes, run: (tf, [x], _attrs, _outTypes, axes) => tf.sum(x, axes) },
  reference: ([x], { axes }, [out]): RefArray => {
    const data = new Float64Array(sizeOf(out.shape));
    const steps = new Array<number>(x.shape.length).fill(0);
    for (let d = x.shape.length - 1, step = 1; d >= 0; d--) if (!axes.includes(d)) { steps[d] = step; step *= x.shape[d]; }
    walk(x.shape, steps, (i, at) => (data[at] += x.data[i]));
    return { shape: out.shape, data };
  },
  cost: ([x]) => operations(sizeOf(x.shape)),
  samples: [
    { shapes: [[2, 3, 4]], attrs: { axes: [1] } },
    { shapes: [[2, 3, 4]], attrs: { axes: [0, 2] } },
    { shapes: [[2, 3]], attrs: { axes: [0, 1] } },
  ],
});

/** Sum over `axes` (default all), which leave the shape. */
export function sum(x: Tensor, axes: readonly number[] = x.shape.map((_, i) => i)): Tensor {
  return axes.length === 0 ? x : applySum([x], { axes: [...axes].sort((a, b) => a - b) })[0];
}

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
      data.set(weights.map((w) => w / total), row);
    }
    return { shape: x.shape, data };
  },
  cost: ([x]) => operations(5 * sizeOf(x.shape)), // maximum, difference, exponential, sum, quotient
  samples: [{ shapes: [[2, 3, 5]], attrs: {}, range: [-3, 3] }],
});

/** Softmax over the last axis. */
export const softmax = (x: Tensor): Tensor => applySoftmax([x], {})[0];
