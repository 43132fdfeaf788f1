/** A value that the gradient takes for a constant. */
import { moves } from '../cost.js';
import { definePrimitive } from '../primitive.js';
import type { Tensor } from '../tensor.js';

const apply = definePrimitive<Record<never, never>, 1>({
  name: 'stopGradient',
  infer: ([x]) => x,
  vjp: () => [undefined],
  onnx: 'Identity',
  tfjs: { order: 'any', run: (tf, [x]) => tf.clone(x) },
  reference: ([x]) => x,
  cost: moves,
  samples: [{ shapes: [[2, 3]], attrs: {} }],
});

/** `x`, through which no gradient flows; torch's `detach`. */
export const stopGradient = (x: Tensor): Tensor => apply([x], {})[0];
