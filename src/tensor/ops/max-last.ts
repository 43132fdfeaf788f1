/** The largest value of each row. */
import { operations } from '../cost.js';
import { sizeOf } from '../host.js';
import { check, definePrimitive, shapeText, type RefArray } from '../primitive.js';
import type { Tensor } from '../tensor.js';
import { lessOrEqual, mul } from './elementwise.js';

const apply = definePrimitive<Record<never, never>, 1>({
  name: 'maxLast',
  infer: ([x]) => {
    check(x.shape.length > 0, 'maxLast', () => `${shapeText(x.shape)} has no axis`);
    return { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] };
  },
  // All equal largest values get it; optimizers alone use this, and they are not differentiated.
  vjp: ([ct], [x], { outs: [y] }) => [mul(ct as Tensor, lessOrEqual(y, x))],
  onnx: (emit, { inputs, outputs }) =>
    void emit.node('ReduceMax', [inputs[0], emit.ints([-1])], outputs, { keepdims: { i: 1 } }),
  tfjs: (tf, [x]) => tf.max(x, -1, true),
  reference: ([x], _attrs, [out]): RefArray => {
    const width = x.shape[x.shape.length - 1];
    return {
      shape: out.shape,
      data: Float64Array.from({ length: sizeOf(out.shape) }, (_, i) =>
        x.data.subarray(i * width, (i + 1) * width).reduce((a, b) => Math.max(a, b), -Infinity),
      ),
    };
  },
  cost: ([x]) => operations(sizeOf(x.shape)),
  samples: [{ shapes: [[2, 3, 4]], attrs: {} }],
});

/** Maximum over the last axis, which stays with size 1. */
export const maxLast = (x: Tensor): Tensor => apply([x], {})[0];
