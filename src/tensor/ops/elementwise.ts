/** Elementwise arithmetic with NumPy broadcasting, and unary functions. */
import { sizeOf } from '../host.js';
import type { Shape } from '../host.js';
import { broadcastShapes, broadcastStrides, walk } from '../broadcast.js';
import { operations } from '../cost.js';
import { check, definePrimitive, MICROSOFT, type Primitive, type RefArray } from '../primitive.js';
import { constant, fill, type Tensor } from '../tensor.js';
import { reshape } from './shape.js';
import { sum } from './sum-expand.js';

type None = Record<never, never>;
type BinaryRule = (ct: Tensor, a: Tensor, b: Tensor, out: Tensor) => readonly [Tensor | undefined, Tensor | undefined];

/** Sums a cotangent over the dimensions that broadcasting added or stretched. */
function unbroadcast(ct: Tensor, shape: Shape): Tensor {
  const extra = ct.shape.length - shape.length;
  const axes = ct.shape.map((_, i) => i).filter((i) => i < extra || (shape[i - extra] === 1 && ct.shape[i] !== 1));
  return axes.length === 0 ? ct : reshape(sum(ct, axes), shape);
}

type TfjsBinary = 'add' | 'sub' | 'mul' | 'div' | 'minimum' | 'maximum';
type TfjsUnary = 'neg' | 'exp' | 'log' | 'sqrt' | 'abs' | 'sign' | 'sin' | 'cos' | 'tanh' | 'sigmoid' | 'erf';

function binary(
  name: TfjsBinary,
  onnx: string,
  f: (a: number, b: number) => number,
  rule: BinaryRule,
  range?: readonly [number, number],
) {
  const shapes = [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], []],
    [
      [2, 1, 3],
      [4, 1],
    ],
    [[3], [2, 3]],
  ];
  const apply = definePrimitive<None, 2>({
    name,
    infer: ([a, b]) => {
      check(a.dtype === b.dtype, name, () => `dtypes ${a.dtype} and ${b.dtype} differ; cast one`);
      return { dtype: a.dtype, shape: broadcastShapes(a.shape, b.shape, name) };
    },
    vjp: ([ct], [a, b], { outs }) => {
      const [da, db] = rule(ct as Tensor, a, b, outs[0]);
      return [da && unbroadcast(da, a.shape), db && unbroadcast(db, b.shape)];
    },
    onnx,
    tfjs: { order: 'any', run: (tf, [a, b]) => tf[name](a, b) },
    reference: ([a, b]) => {
      const shape = broadcastShapes(a.shape, b.shape, name);
      const data = new Float64Array(sizeOf(shape));
      walk(shape, broadcastStrides(a.shape, shape), (i, at) => (data[i] = a.data[at]));
      walk(shape, broadcastStrides(b.shape, shape), (i, at) => (data[i] = f(data[i], b.data[at])));
      return { shape, data };
    },
    samples: shapes.map((s) => ({ shapes: s, attrs: {}, ...(range ? { range } : {}) })),
  });
  return (a: Tensor | number, b: Tensor | number): Tensor => apply([lift(a), lift(b)], {})[0];
}

const lift = (x: Tensor | number): Tensor => (typeof x === 'number' ? fill(x) : x);

export const add = binary(
  'add',
  'Add',
  (a, b) => a + b,
  (ct) => [ct, ct],
);
export const sub = binary(
  'sub',
  'Sub',
  (a, b) => a - b,
  (ct) => [ct, neg(ct)],
);
export const mul = binary(
  'mul',
  'Mul',
  (a, b) => a * b,
  (ct, a, b) => [mul(ct, b), mul(ct, a)],
);
export const div = binary(
  'div',
  'Div',
  (a, b) => a / b,
  (ct, _a, b, out) => [div(ct, b), neg(div(mul(ct, out), b))],
  [0.5, 2],
);
export const minimum = binary('minimum', 'Min', Math.min, (ct, a, b) => split(ct, lessOrEqual(a, b)));
export const maximum = binary('maximum', 'Max', Math.max, (ct, a, b) => split(ct, lessOrEqual(b, a)));

/** The gradient goes to the chosen operand; to the first one in a tie. */
const split = (ct: Tensor, first: Tensor): readonly [Tensor, Tensor] => [mul(ct, first), mul(ct, sub(1, first))];

const applyLessOrEqual = definePrimitive<None, 2>({
  name: 'lessOrEqual',
  infer: ([a, b]) => ({ dtype: 'float32', shape: broadcastShapes(a.shape, b.shape, 'lessOrEqual') }),
  vjp: () => [undefined, undefined], // piecewise constant
  onnx: (emit, { inputs, outputs }) => {
    const [flag] = emit.node('LessOrEqual', inputs, 1);
    emit.node('Cast', [flag], outputs, { to: { i: 1 } });
  },
  tfjs: { order: 'any', run: (tf, [a, b]) => tf.cast(tf.lessEqual(a, b), 'float32') },
  reference: ([a, b]) => {
    const shape = broadcastShapes(a.shape, b.shape, 'lessOrEqual');
    const data = new Float64Array(sizeOf(shape));
    walk(shape, broadcastStrides(a.shape, shape), (i, at) => (data[i] = a.data[at]));
    walk(shape, broadcastStrides(b.shape, shape), (i, at) => (data[i] = data[i] <= b.data[at] ? 1 : 0));
    return { shape, data };
  },
  samples: [{ shapes: [[2, 3], [3]], attrs: {} }],
});

/** 1 where a <= b, else 0; float32. */
export const lessOrEqual = (a: Tensor | number, b: Tensor | number): Tensor =>
  applyLessOrEqual([lift(a), lift(b)], {})[0];

type UnaryRule = (ct: Tensor, x: Tensor, y: Tensor) => Tensor | undefined;

function unary(
  name: TfjsUnary,
  onnx: string,
  f: (x: number) => number,
  rule: UnaryRule,
  range?: readonly [number, number],
) {
  return unaryOf({ name, onnx, tfjs: { order: 'any', run: (tf, [x]) => tf[name](x) } }, f, rule, range);
}

type UnaryForms = Pick<Primitive<None, 1>, 'name' | 'onnx' | 'tfjs'>;

function unaryOf(forms: UnaryForms, f: (x: number) => number, rule: UnaryRule, range?: readonly [number, number]) {
  const apply = definePrimitive<None, 1>({
    ...forms,
    infer: ([x]) => x,
    vjp: ([ct], [x], { outs }) => [rule(ct as Tensor, x, outs[0])],
    reference: ([x]): RefArray => ({ shape: x.shape, data: x.data.map(f) }),
    samples: [
      { shapes: [[2, 3]], attrs: {}, ...(range ? { range } : {}) },
      { shapes: [[]], attrs: {}, ...(range ? { range } : {}) },
    ],
  });
  return (x: Tensor): Tensor => apply([x], {})[0];
}

export const neg = unary(
  'neg',
  'Neg',
  (x) => -x,
  (ct) => neg(ct),
);
export const exp = unary('exp', 'Exp', Math.exp, (ct, _x, y) => mul(ct, y));
export const log = unary('log', 'Log', Math.log, (ct, x) => div(ct, x), [0.2, 2]);
export const sqrt = unary('sqrt', 'Sqrt', Math.sqrt, (ct, _x, y) => div(mul(ct, 0.5), y), [0.2, 2]);
export const abs = unary('abs', 'Abs', Math.abs, (ct, x) => mul(ct, sign(x)), [0.1, 1]);
export const sign = unary('sign', 'Sign', Math.sign, () => undefined, [0.1, 1]);
export const sin = unary('sin', 'Sin', Math.sin, (ct, x) => mul(ct, cos(x)));
export const cos = unary('cos', 'Cos', Math.cos, (ct, x) => neg(mul(ct, sin(x))));
export const tanh = unary('tanh', 'Tanh', Math.tanh, (ct, _x, y) => mul(ct, sub(1, mul(y, y))));
export const sigmoid = unary(
  'sigmoid',
  'Sigmoid',
  (x) => 1 / (1 + Math.exp(-x)),
  (ct, _x, y) => mul(ct, mul(y, sub(1, y))),
  [-4, 4],
);
export const erf = unary(
  'erf',
  'Erf',
  erfValue,
  (ct, x) => mul(mul(ct, 2 / Math.sqrt(Math.PI)), exp(neg(mul(x, x)))),
  [-2, 2],
);

const GELU: UnaryForms = {
  name: 'gelu',
  onnx: (emit, { inputs, outputs }) => void emit.node('Gelu', inputs, outputs, {}, MICROSOFT),
  tfjs: { order: 'any', run: (tf, [x]) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)) },
};
/** Exact GELU, 0.5 x (1 + erf(x / sqrt 2)); Hendrycks and Gimpel, arXiv 1606.08415. */
export const gelu = unaryOf(
  GELU,
  (x) => 0.5 * x * (1 + erfValue(x * Math.SQRT1_2)),
  (ct, x) => {
    const cdf = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
    const pdf = mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return mul(ct, add(cdf, mul(x, pdf)));
  },
  [-3, 3],
);

/** erf by its Maclaurin series below 3 and a continued fraction of erfc above; about 1e-15. */
function erfValue(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    let term = a,
      total = a;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total) && n < 200; n++) {
      term *= (-a * a) / n;
      total += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * total) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / ((a + fraction) * Math.sqrt(Math.PI)));
}

/** x * x */
export const square = (x: Tensor): Tensor => mul(x, x);
/** The sigmoid of `beta * x`, or of x itself. */
const gate = (x: Tensor, beta: number): Tensor => sigmoid(beta === 1 ? x : mul(x, beta));
const applySwish = definePrimitive<{ readonly beta: number }, 1>({
  name: 'swish',
  infer: ([x]) => x,
  // The gradient computes the sigmoid again. Kept, it would take as much memory as x, from here to there.
  vjp: ([ct], [x], { attrs: { beta } }) => {
    const s = gate(x, beta),
      slope = mul(mul(ct as Tensor, x), mul(s, sub(1, s)));
    return [add(mul(ct as Tensor, s), beta === 1 ? slope : mul(slope, beta))];
  },
  onnx: (emit, { inputs, outputs, attrs: { beta } }) =>
    void emit.node('QuickGelu', inputs, outputs, { alpha: { f: beta } }, MICROSOFT),
  tfjs: { order: 'any', run: (tf, [x], { beta }) => tf.mul(x, tf.sigmoid(tf.mul(x, beta))) },
  reference: ([x], { beta }): RefArray => ({ shape: x.shape, data: x.data.map((v) => v / (1 + Math.exp(-beta * v))) }),
  cost: ([x], { beta }) => operations((beta === 1 ? 2 : 3) * sizeOf(x.shape)),
  samples: [
    { shapes: [[2, 3]], attrs: { beta: 1 }, range: [-4, 4] },
    { shapes: [[]], attrs: { beta: 1.702 }, range: [-4, 4] },
  ],
});
/** x * sigmoid(x); Ramachandran et al., arXiv 1710.05941, with beta 1 */
export const silu = (x: Tensor): Tensor => applySwish([x], { beta: 1 })[0];
/** x * sigmoid(1.702 x), as OpenAI's CLIP */
export const quickGelu = (x: Tensor): Tensor => applySwish([x], { beta: 1.702 })[0];

/** A float32 vector literal. */
export const vector = (values: readonly number[]): Tensor =>
  constant({ dtype: 'float32', shape: [values.length], data: Float32Array.from(values) });
