/** Sum over axes, and its opposite, repetition along them: each is the gradient of the other. */
import { broadcastShapes, broadcastStrides, walk } from '../broadcast.js';
import { moves, operations } from '../cost.js';
import { sameShape, sizeOf, type Shape } from '../host.js';
import { check, definePrimitive, shapeText, type RefArray } from '../primitive.js';
import type { Tensor } from '../tensor.js';
import { reshape } from './shape.js';

const keepDims = (shape: Shape, axes: readonly number[]): number[] => shape.map((d, i) => (axes.includes(i) ? 1 : d));

const applySum = definePrimitive<{ axes: readonly number[] }, 1>({
  name: 'sum',
  infer: ([x], { axes }) => {
    check(
      axes.every((a) => a >= 0 && a < x.shape.length),
      'sum',
      () => `axes [${axes}] outside shape ${shapeText(x.shape)}`,
    );
    return { dtype: x.dtype, shape: x.shape.filter((_, i) => !axes.includes(i)) };
  },
  vjp: ([ct], [x], { attrs }) => [expand(reshape(ct as Tensor, keepDims(x.shape, attrs.axes)), x.shape)],
  onnx: (emit, { inputs, outputs, attrs }) =>
    void emit.node('ReduceSum', [inputs[0], emit.ints(attrs.axes)], outputs, { keepdims: { i: 0 } }),
  tfjs: { order: 'along', axes: ({ axes }) => axes, run: (tf, [x], _attrs, _outTypes, axes) => tf.sum(x, axes) },
  reference: ([x], { axes }, [out]): RefArray => {
    const data = new Float64Array(sizeOf(out.shape));
    const steps = new Array<number>(x.shape.length).fill(0);
    for (let d = x.shape.length - 1, step = 1; d >= 0; d--)
      if (!axes.includes(d)) {
        steps[d] = step;
        step *= x.shape[d];
      }
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

const applyExpand = definePrimitive<{ shape: Shape }, 1>({
  name: 'expand',
  infer: ([x], { shape }) => {
    check(
      sameShape(broadcastShapes(x.shape, shape, 'expand'), shape),
      'expand',
      () => `${shapeText(x.shape)} does not stretch to ${shapeText(shape)}`,
    );
    return { dtype: x.dtype, shape };
  },
  vjp: ([ct], [x], { attrs: { shape } }) => {
    const extra = shape.length - x.shape.length;
    const axes = shape.map((_, i) => i).filter((i) => i < extra || (x.shape[i - extra] === 1 && shape[i] !== 1));
    return [reshape(sum(ct as Tensor, axes), x.shape)];
  },
  onnx: (emit, { inputs, outputs, attrs }) => void emit.node('Expand', [inputs[0], emit.ints(attrs.shape)], outputs),
  tfjs: (tf, [x], { shape }) => tf.broadcastTo(x, [...shape]),
  reference: ([x], { shape }): RefArray => {
    const data = new Float64Array(sizeOf(shape));
    walk(shape, broadcastStrides(x.shape, shape), (i, at) => (data[i] = x.data[at]));
    return { shape, data };
  },
  cost: moves,
  samples: [{ shapes: [[3, 1]], attrs: { shape: [2, 3, 4] } }],
});

/** Repeats size-1 and missing leading axes up to `shape`. */
export const expand = (x: Tensor, shape: Shape): Tensor =>
  sameShape(x.shape, shape) ? x : applyExpand([x], { shape: [...shape] })[0];
