/**
 * Gradient checkpointing (Chen et al., arXiv 1604.06174): values that the gradient computes once more instead of keeping
 * them. `recompute` says where; `grad` makes the copies and orders them with `after`.
 */
import { moves } from '../cost.js';
import { sizeOf } from '../host.js';
import { check, definePrimitive, shapeText } from '../primitive.js';
import type { Tensor } from '../tensor.js';
import { reshape, slice } from './shape.js';

type None = Record<never, never>;

const applyRecompute = definePrimitive<None, number>({
  name: 'recompute',
  infer: ([y]) => y,
  vjp: ([ct], inputs) => inputs.map((_, i) => (i === 0 ? ct : undefined)),
  onnx: (emit, { inputs, outputs }) => void emit.node('Identity', [inputs[0]], outputs),
  tfjs: (tf, [y]) => tf.clone(y),
  reference: ([y]) => y,
  cost: moves,
  samples: [
    { shapes: [[2, 3], [4]], attrs: {} },
    { shapes: [[2], [3], [1, 2]], attrs: {} },
  ],
});

/**
 * `y` itself. Its gradient keeps `from` only, and computes what lies between `from` and `y` again when it comes to it.
 * Values that do not depend on `from`, such as projections of a text, are kept as always.
 */
export const recompute = (y: Tensor, from: readonly Tensor[]): Tensor => applyRecompute([y, ...from], {})[0];

const applyAfter = definePrimitive<None, number>({
  name: 'after',
  infer: ([x, ...scalars]) => {
    check(
      scalars.every((s) => s.shape.length === 0 && s.dtype === 'float32'),
      'after',
      () => `waits for ${scalars.map((s) => `${s.dtype}${shapeText(s.shape)}`).join(', ')}; give float32 scalars`,
    );
    return x;
  },
  vjp: ([ct], inputs) => inputs.map((_, i) => (i === 0 ? ct : undefined)),
  // A reshape to the shape it has: it moves nothing, no pass knows the shape beforehand, and not even NaN is below -Infinity.
  onnx: (emit, { inputs: [x, ...scalars], outputs, inTypes: [{ shape }] }) => {
    const [all] = scalars.length > 1 ? emit.node('Max', scalars, 1) : scalars;
    const [no] = emit.node('Less', [all, emit.floats([-Infinity], [])], 1);
    const [zero] = emit.node('Cast', [no], 1, { to: { i: 7 } }); // int64
    const [same] = emit.node('Add', [emit.ints(shape), zero], 1);
    emit.node('Reshape', [x, same], outputs);
  },
  tfjs: { order: 'any', run: (tf, [x]) => tf.clone(x) },
  reference: ([x]) => x,
  cost: moves,
  samples: [
    { shapes: [[2, 3], []], attrs: {} },
    { shapes: [[4], [], []], attrs: {} },
  ],
});

/** `x` itself, but not before every one of `others` is computed. */
export function after(x: Tensor, others: readonly Tensor[]): Tensor {
  const scalars = [...new Set(others)].map(first);
  return scalars.length === 0 ? x : applyAfter([x, ...scalars], {})[0];
}

/** Ops whose result is their first operand in memory, too. */
export const VIEWS: ReadonlySet<string> = new Set(['reshape', 'after']);

/** One value of a tensor. */
const first = (t: Tensor): Tensor =>
  t.shape.length === 0 ? t : reshape(slice(reshape(t, [sizeOf(t.shape)]), [0], [1]), []);
