/**
 * Scaled dot-product attention over heads (Vaswani et al., arXiv 1706.03762), one primitive so that a backend can fuse it.
 * The gradient recomputes the probabilities block by block (Dao, arXiv 2307.08691, section 3.1.2): memory stays linear in
 * the number of queries, and a block stays in cache.
 */
import { sizeOf, type Shape } from '../host.js';
import { multiplyAdds } from '../cost.js';
import { check, definePrimitive, MICROSOFT, shapeText, type RefArray, type TfjsTensor } from '../primitive.js';
import type { Tensor } from '../tensor.js';
import { add, mul, sub } from './elementwise.js';
import { matmul } from './matmul.js';
import { after } from './recompute.js';
import { softmax, sumLast } from './reduce.js';
import { concat, narrow, reshape, transpose } from './shape.js';

type AttentionAttrs = { heads: number; scale: number };

/** Probabilities held at once by one block of the gradient: 2^21 floats are 8 MB, inside an L3 slice. */
const BLOCK_ELEMENTS = 2 ** 21;

const apply = definePrimitive<AttentionAttrs, 3>({
  name: 'attention',
  infer: ([q, k, v], { heads }) => {
    const fits =
      q.shape.length === 3 &&
      k.shape[0] === q.shape[0] &&
      k.shape[2] === q.shape[2] &&
      v.shape.every((d, i) => d === k.shape[i]) &&
      q.shape[2] % heads === 0;
    check(
      fits,
      'attention',
      () =>
        `q ${shapeText(q.shape)}, k ${shapeText(k.shape)}, v ${shapeText(v.shape)} with ${heads} heads; need [B,T,D], [B,S,D], [B,S,D] and D a multiple of the heads`,
    );
    return { dtype: q.dtype, shape: q.shape };
  },
  vjp: ([ct], [q, k, v], { attrs, outs: [o] }) => attentionVjp(ct as Tensor, q, k, v, o, attrs),
  onnx: (emit, { inputs, outputs, attrs }) =>
    void emit.node(
      'MultiHeadAttention',
      inputs,
      outputs,
      { num_heads: { i: attrs.heads }, scale: { f: attrs.scale } },
      MICROSOFT,
    ),
  tfjs: (tf, [q, k, v], { heads, scale }, [out]) => {
    const [B, T, D] = out.shape,
      [, S] = k.shape as Shape,
      K = D / heads,
      BN = B * heads;
    const split = (x: TfjsTensor, n: number): TfjsTensor =>
      tf.reshape(tf.transpose(tf.reshape(x, [B, n, heads, K]), [0, 2, 1, 3]), [BN, n, K]);
    const [Q, Ks, V] = [split(tf.mul(q, scale), T), split(k, S), split(v, S)];
    // Blocks bound the memory of the probabilities, as in the gradient.
    const block = attentionBlocks(BN, T, S);
    const parts = range(BN, block.heads).map(([from, to]) => {
      const [Kb, Vb] = [tf.slice(Ks, [from, 0, 0], [to - from, S, K]), tf.slice(V, [from, 0, 0], [to - from, S, K])];
      const rows = range(T, block.rows).map(([start, end]) =>
        tf.tidy(() =>
          tf.matMul(
            tf.softmax(tf.matMul(tf.slice(Q, [from, start, 0], [to - from, end - start, K]), Kb, false, true)),
            Vb,
          ),
        ),
      );
      return tf.concat(rows, 1);
    });
    const y = tf.transpose(tf.reshape(tf.concat(parts, 0), [B, heads, T, K]), [0, 2, 1, 3]);
    return tf.reshape(y, [B, T, D]);
  },
  reference: ([q, k, v], { heads, scale }, [out]): RefArray => {
    const [B, T, D] = q.shape,
      S = k.shape[1],
      K = D / heads;
    const data = new Float64Array(sizeOf(out.shape));
    for (let b = 0; b < B; b++)
      for (let h = 0; h < heads; h++)
        for (let t = 0; t < T; t++) {
          const at = (b * T + t) * D + h * K;
          const scores = Float64Array.from({ length: S }, (_, s) => {
            let dot = 0;
            for (let i = 0; i < K; i++) dot += q.data[at + i] * k.data[(b * S + s) * D + h * K + i];
            return dot * scale;
          });
          const top = scores.reduce((a, c) => Math.max(a, c), -Infinity);
          const weights = scores.map((s) => Math.exp(s - top));
          const total = weights.reduce((a, c) => a + c, 0);
          weights.forEach((w, s) => {
            for (let i = 0; i < K; i++) data[at + i] += (w / total) * v.data[(b * S + s) * D + h * K + i];
          });
        }
    return { shape: out.shape, data };
  },
  // Two products per head and pair of tokens, and a softmax of the scaled scores.
  cost: ([q, k], { heads }) =>
    multiplyAdds(2 * sizeOf(q.shape) * k.shape[1], 6 * q.shape[0] * heads * q.shape[1] * k.shape[1]),
  samples: [
    {
      shapes: [
        [2, 3, 8],
        [2, 5, 8],
        [2, 5, 8],
      ],
      attrs: { heads: 2, scale: 0.5 },
    },
    {
      shapes: [
        [1, 4, 6],
        [1, 4, 6],
        [1, 4, 6],
      ],
      attrs: { heads: 3, scale: Math.SQRT1_2 },
    },
  ],
});

/** q [B,T,D], k and v [B,S,D] with D = heads * head size -> [B,T,D]; softmax(scale q k^T) v per head. */
export const attention = (q: Tensor, k: Tensor, v: Tensor, heads: number, scale: number): Tensor =>
  apply([q, k, v], { heads, scale })[0];

/** How the gradient is cut: heads (of all samples) per block, and queries per block. */
export function attentionBlocks(
  samplesTimesHeads: number,
  T: number,
  S: number,
  limit = BLOCK_ELEMENTS,
): { heads: number; rows: number } {
  const heads = Math.min(samplesTimesHeads, Math.max(1, Math.floor(limit / (T * S))));
  return { heads, rows: heads > 1 ? T : Math.min(T, Math.max(1, Math.floor(limit / S))) };
}

function attentionVjp(
  g: Tensor,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  o: Tensor,
  { heads, scale }: AttentionAttrs,
): readonly [Tensor, Tensor, Tensor] {
  const [B, T, D] = q.shape,
    S = k.shape[1],
    K = D / heads,
    BN = B * heads;
  const split = (x: Tensor, n: number): Tensor =>
    reshape(transpose(reshape(x, [B, n, heads, K]), [0, 2, 1, 3]), [BN, n, K]);
  const join = (x: Tensor, n: number): Tensor =>
    reshape(transpose(reshape(x, [B, heads, n, K]), [0, 2, 1, 3]), [B, n, D]);
  const Q = split(mul(q, scale), T),
    Ks = split(k, S),
    V = split(v, S),
    G = split(g, T);
  const rowSums = sumLast(mul(G, split(o, T))); // sum_s P dP, without P: [BN, T, 1]
  const block = attentionBlocks(BN, T, S);
  // One block after the other, sums included: a runtime that starts with all that dQ needs would hold what all blocks have for dK and dV.
  let before: readonly Tensor[] = [];
  const parts = range(BN, block.heads).map(([from, to]) => {
    const [Kb, Vb] = [narrow(Ks, 0, from, to), narrow(V, 0, from, to)];
    const sums: { readonly dK: Tensor; readonly dV: Tensor }[] = [];
    const dQ = range(T, block.rows).map(([start, end]) => {
      const cut = (x: Tensor): Tensor => narrow(narrow(x, 0, from, to), 1, start, end);
      const [Qb, Gb] = [after(cut(Q), before), after(cut(G), before)];
      const P = softmax(matmul(Qb, Kb, false, true));
      const dS = mul(P, sub(matmul(Gb, Vb, false, true), cut(rowSums)));
      const rows = matmul(dS, Kb, false, false),
        dK = matmul(dS, Qb, true, false),
        dV = matmul(P, Gb, true, false);
      const last = sums.at(-1),
        sum = last ? { dK: add(last.dK, dK), dV: add(last.dV, dV) } : { dK, dV };
      sums.push(sum);
      before = [rows, sum.dK, sum.dV];
      return rows;
    });
    return { dQ: concat(dQ, 1), ...sums[sums.length - 1] };
  });
  const whole = (pick: (p: (typeof parts)[number]) => Tensor): Tensor => concat(parts.map(pick), 0);
  return [
    mul(
      join(
        whole((p) => p.dQ),
        T,
      ),
      scale,
    ),
    join(
      whole((p) => p.dK),
      S,
    ),
    join(
      whole((p) => p.dV),
      S,
    ),
  ];
}

/** Half-open pieces of 0..total, each `size` long but the last. */
function range(total: number, size: number): (readonly [number, number])[] {
  return Array.from(
    { length: Math.ceil(total / size) },
    (_, i) => [i * size, Math.min(total, (i + 1) * size)] as const,
  );
}
