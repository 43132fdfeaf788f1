/** Matrix products: batched `matmul`, and `gemm` for rank 2 with an optional bias row. */
import { sizeOf } from '../host.js';
import { multiplyAdds } from '../cost.js';
import { check, definePrimitive, MICROSOFT, shapeText, type RefArray } from '../primitive.js';
import type { Tensor } from '../tensor.js';
import { sum } from './sum-expand.js';

type Trans = { transA: boolean; transB: boolean };
const bit = (flag: boolean): { i: number } => ({ i: flag ? 1 : 0 });

/** [rows, inner] of the matrix that the flag reads. */
function oriented(shape: readonly number[], trans: boolean): readonly [number, number] {
  const [r, c] = shape.slice(-2);
  return trans ? [c, r] : [r, c];
}

function multiply(a: RefArray, b: RefArray, { transA, transB }: Trans, shape: readonly number[]): RefArray {
  const [m, k] = oriented(a.shape, transA),
    [, n] = oriented(b.shape, transB);
  const data = new Float64Array(sizeOf(shape));
  for (let batch = 0; batch < data.length / (m * n); batch++) {
    const atA = batch * m * k,
      atB = batch * k * n;
    for (let i = 0; i < m; i++)
      for (let p = 0; p < k; p++) {
        const left = a.data[atA + (transA ? p * m + i : i * k + p)];
        for (let j = 0; j < n; j++)
          data[batch * m * n + i * n + j] += left * b.data[atB + (transB ? j * k + p : p * n + j)];
      }
  }
  return { shape, data };
}

const applyMatmul = definePrimitive<Trans, 2>({
  name: 'matmul',
  infer: ([a, b], { transA, transB }) => {
    const [m, k] = oriented(a.shape, transA),
      [k2, n] = oriented(b.shape, transB);
    const sameBatch = a.shape.length === b.shape.length && a.shape.slice(0, -2).every((d, i) => d === b.shape[i]);
    check(
      sameBatch,
      'matmul',
      () => `batch sizes of ${shapeText(a.shape)} and ${shapeText(b.shape)} differ; reshape one`,
    );
    check(
      k === k2,
      'matmul',
      () =>
        `inner sizes differ, ${shapeText(a.shape)}${transA ? ' transposed' : ''} x ${shapeText(b.shape)}${transB ? ' transposed' : ''}; transpose one side?`,
    );
    return { dtype: a.dtype, shape: [...a.shape.slice(0, -2), m, n] };
  },
  vjp: ([ct], [a, b], { attrs: { transA, transB } }) => matmulVjp(matmul, ct as Tensor, a, b, transA, transB),
  onnx: (emit, { inputs, outputs, attrs: { transA, transB } }) => {
    if (transA || transB)
      emit.node('FusedMatMul', inputs, outputs, { transA: bit(transA), transB: bit(transB) }, MICROSOFT);
    else emit.node('MatMul', inputs, outputs);
  },
  tfjs: (tf, [a, b], { transA, transB }) => tf.matMul(a, b, transA, transB),
  reference: ([a, b], attrs, [out]) => multiply(a, b, attrs, out.shape),
  cost: ([a], { transA }, [out]) => multiplyAdds(sizeOf(out.shape) * oriented(a.shape, transA)[1]),
  samples: [
    {
      shapes: [
        [2, 3, 4],
        [2, 4, 5],
      ],
      attrs: { transA: false, transB: false },
    },
    {
      shapes: [
        [2, 4, 3],
        [2, 4, 5],
      ],
      attrs: { transA: true, transB: false },
    },
    {
      shapes: [
        [2, 2, 3, 4],
        [2, 2, 5, 4],
      ],
      attrs: { transA: false, transB: true },
    },
    {
      shapes: [
        [4, 3],
        [5, 4],
      ],
      attrs: { transA: true, transB: true },
    },
  ],
});

type Product = (a: Tensor, b: Tensor, transA: boolean, transB: boolean) => Tensor;

/** d(AB): dA = G B^T, dB = A^T G, with the flags folded so that nothing is transposed in memory. */
function matmulVjp(
  product: Product,
  g: Tensor,
  a: Tensor,
  b: Tensor,
  transA: boolean,
  transB: boolean,
): readonly [Tensor, Tensor] {
  return [
    transA ? product(b, g, transB, true) : product(g, b, false, !transB),
    transB ? product(g, a, true, transA) : product(a, g, !transA, false),
  ];
}

/** a [..., m, k] x b [..., k, n] with equal leading sizes; a flag reads that matrix transposed. */
export const matmul = (a: Tensor, b: Tensor, transA = false, transB = false): Tensor =>
  applyMatmul([a, b], { transA, transB })[0];

const applyGemm = definePrimitive<Trans, number>({
  name: 'gemm',
  infer: ([a, b, bias], { transA, transB }) => {
    check(
      a.shape.length === 2 && b.shape.length === 2,
      'gemm',
      () => `needs two matrices, got ${shapeText(a.shape)} and ${shapeText(b.shape)}`,
    );
    const [m, k] = oriented(a.shape, transA),
      [k2, n] = oriented(b.shape, transB);
    check(
      k === k2,
      'gemm',
      () =>
        `inner sizes differ, ${shapeText(a.shape)}${transA ? ' transposed' : ''} x ${shapeText(b.shape)}${transB ? ' transposed' : ''}; transpose one side?`,
    );
    check(
      !bias || (bias.shape.length === 1 && bias.shape[0] === n),
      'gemm',
      () => `bias ${shapeText(bias.shape)} is not [${n}]`,
    );
    return { dtype: a.dtype, shape: [m, n] };
  },
  vjp: ([ct], [a, b, bias], { attrs: { transA, transB }, needs }) => {
    const grads = matmulVjp((x, y, tx, ty) => gemm(x, y, undefined, tx, ty), ct as Tensor, a, b, transA, transB);
    return bias ? [...grads, needs[2] ? sum(ct as Tensor, [0]) : undefined] : grads;
  },
  onnx: (emit, { inputs, outputs, attrs: { transA, transB } }) =>
    void emit.node('Gemm', inputs, outputs, { transA: bit(transA), transB: bit(transB) }),
  tfjs: (tf, [a, b, bias], { transA, transB }) => {
    const y = tf.matMul(a, b, transA, transB);
    return bias ? tf.add(y, bias) : y;
  },
  reference: ([a, b, bias], attrs, [out]) => {
    const y = multiply(a, b, attrs, out.shape);
    if (bias) y.data.forEach((v, i) => (y.data[i] = v + bias.data[i % bias.data.length]));
    return y;
  },
  cost: ([a, , bias], { transA }, [out]) =>
    multiplyAdds(sizeOf(out.shape) * oriented(a.shape, transA)[1], bias ? sizeOf(out.shape) : 0),
  samples: [
    { shapes: [[3, 4], [5, 4], [5]], attrs: { transA: false, transB: true } },
    {
      shapes: [
        [4, 3],
        [4, 5],
      ],
      attrs: { transA: true, transB: false },
    },
    { shapes: [[3, 4], [4, 5], [5]], attrs: { transA: false, transB: false } },
  ],
});

/** a [m, k] x b [k, n] (+ bias [n]); a flag reads that matrix transposed, e.g. torch's [out, in] weights. */
export const gemm = (a: Tensor, b: Tensor, bias?: Tensor, transA = false, transB = false): Tensor =>
  applyGemm(bias ? [a, b, bias] : [a, b], { transA, transB })[0];
