/**
 * Forms for ONNX Runtime's WebGPU provider (1.30). It has no FusedMatMul and no Sign, and arithmetic on int64 happens on
 * the CPU: each would bring values to the host and back in the middle of a step.
 */
import { attentionBlocks } from '../../tensor/ops/attention.js';
import type { EmitIo, Emitter } from '../../tensor/primitive.js';
import type { Attrs } from '../../tensor/tensor.js';
import type { Lowering } from './emit.js';

const FLOAT32 = { to: { i: 1 } },
  FLOAT16 = { to: { i: 10 } };
const whole = (n: number): { i: number } => ({ i: n });

/** Elements of one buffer of probabilities: 128 MiB, which every WebGPU device binds at least (maxStorageBufferBindingSize). */
const PROBABILITIES = 2 ** 25;

export const WEBGPU: Lowering = {
  attention,
  after,
  cos: (emit, io) => circular(emit, io, 0),
  matmul,
  sign,
  sin: (emit, io) => circular(emit, io, 0.5),
  swish,
};

type Rule = (emit: Emitter, io: EmitIo<Attrs>) => void;

/**
 * Products and softmax, block by block. The provider's own `MultiHeadAttention` gave values that were wrong by a fifth from 64
 * queries on, on SwiftShader.
 */
function attention(
  ...[
    emit,
    {
      inputs: [q, k, v],
      outputs,
      attrs,
      inTypes,
    },
  ]: Parameters<Rule>
): void {
  const [B, T, D] = inTypes[0].shape,
    S = inTypes[1].shape[1],
    heads = Number(attrs['heads']),
    K = D / heads,
    BN = B * heads;
  const one = (op: string, of: readonly string[], more?: Parameters<Emitter['node']>[3]): string =>
    emit.node(op, of, 1, more)[0];
  const half = inTypes[0].dtype === 'float16',
    factor = emit.floats([Number(attrs['scale'])], []);
  const split = (x: string, n: number, perm: readonly number[], shape: readonly number[]): string =>
    one('Reshape', [
      one('Transpose', [one('Reshape', [x, emit.shape([B, n, heads, K])])], { perm: { ints: perm } }),
      emit.shape(shape),
    ]);
  const cut = (x: string, axis: number, [from, to]: Range, size: number): string =>
    to - from === size ? x : one('Slice', [x, emit.ints([from]), emit.ints([to]), emit.ints([axis])]);
  const join = (parts: readonly string[], axis: number): string =>
    parts.length === 1 ? parts[0] : one('Concat', parts, { axis: whole(axis) });

  const Q = split(one('Mul', [q, half ? one('Cast', [factor], FLOAT16) : factor]), T, [0, 2, 1, 3], [BN, T, K]);
  const turned = split(k, S, [0, 2, 3, 1], [BN, K, S]),
    V = split(v, S, [0, 2, 1, 3], [BN, S, K]);
  const block = attentionBlocks(BN, T, S, PROBABILITIES);
  const parts = ranges(BN, block.heads).map((some) => {
    const [Kb, Vb, Qb] = [cut(turned, 0, some, BN), cut(V, 0, some, BN), cut(Q, 0, some, BN)];
    return join(
      ranges(T, block.rows).map((rows) => {
        const scores = one('MatMul', [cut(Qb, 1, rows, T), Kb]),
          P = one('Softmax', [half ? one('Cast', [scores], FLOAT32) : scores], { axis: whole(-1) });
        return one('MatMul', [half ? one('Cast', [P], FLOAT16) : P, Vb]);
      }),
      1,
    );
  });
  const y = one('Transpose', [one('Reshape', [join(parts, 0), emit.shape([B, heads, T, K])])], {
    perm: { ints: [0, 2, 1, 3] },
  });
  emit.node('Reshape', [y, emit.shape([B, T, D])], outputs);
}

type Range = readonly [number, number];
const ranges = (total: number, size: number): Range[] =>
  Array.from({ length: Math.ceil(total / size) }, (_, i) => [i * size, Math.min(total, (i + 1) * size)] as const);

/** Adds 0 times what it waits for. Of whole numbers it is `x` alone: the order saves memory, it changes no value. */
function after(
  ...[
    emit,
    {
      inputs: [x, ...scalars],
      outputs,
      inTypes: [{ dtype }],
    },
  ]: Parameters<Rule>
): void {
  if (dtype !== 'float32') return void emit.node('Identity', [x], outputs);
  const [all] = scalars.length > 1 ? emit.node('Max', scalars, 1) : scalars;
  emit.node('Add', [x, emit.node('Mul', [all, emit.floats([0], [])], 1)[0]], outputs);
}

/** Matrices as Gemm, which reads them transposed; batches are turned first. */
function matmul(...[emit, { inputs, outputs, attrs, inTypes }]: Parameters<Rule>): void {
  const flags = [attrs['transA'] === true, attrs['transB'] === true],
    rank = inTypes[0].shape.length;
  if (rank === 2 && flags.includes(true)) {
    emit.node('Gemm', inputs, outputs, { transA: whole(Number(flags[0])), transB: whole(Number(flags[1])) });
    return;
  }
  const perm = inTypes[0].shape.map((_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i));
  emit.node(
    'MatMul',
    inputs.map((x, i) => (flags[i] ? emit.node('Transpose', [x], 1, { perm: { ints: perm } })[0] : x)),
    outputs,
  );
}

/** x * sigmoid(beta x) */
function swish(
  ...[
    emit,
    {
      inputs: [x],
      outputs,
      attrs: { beta },
    },
  ]: Parameters<Rule>
): void {
  const scaled = beta === 1 ? x : emit.node('Mul', [x, emit.floats([Number(beta)], [])], 1)[0];
  emit.node('Mul', [x, emit.node('Sigmoid', [scaled], 1)[0]], outputs);
}

/** [x > 0] - [x < 0] */
function sign(
  ...[
    emit,
    {
      inputs: [x],
      outputs,
    },
  ]: Parameters<Rule>
): void {
  const zero = emit.floats([0], []);
  const flag = (op: string): string => emit.node('Cast', [emit.node(op, [x, zero], 1)[0]], 1, FLOAT32)[0];
  emit.node('Sub', [flag('Greater'), flag('Less')], outputs);
}

/** pi in three parts; products of the first two with whole numbers below 2^13 and halves of them are exact in float32 (Cody and Waite, 1980). */
const PI_PARTS = [3.140625, 9.67502593994140625e-4, 1.509957990978376432e-7];
/** 1, -1/3!, 1/5!, ... of sin; what is left out is below 6e-8 up to pi / 2 */
const TAYLOR = [1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800];

/**
 * WGSL promises sin and cos to 2^-11 only, and nothing beyond pi; time steps go to 1,000. Reduced to r in [-pi/2, pi/2]:
 * sin x = (-1)^k sin r with k = floor(x / pi + 1/2), r = x - k pi; cos x = -(-1)^k sin r with k = floor(x / pi), r = x - (k + 1/2) pi.
 * @param shift 1/2 for sin, 0 for cos
 */
function circular(emit: Emitter, { inputs: [x], outputs }: EmitIo<Attrs>, shift: 0 | 0.5): void {
  const one = (op: string, ...of: readonly (string | number)[]): string =>
    emit.node(
      op,
      of.map((v) => (typeof v === 'number' ? emit.floats([v], []) : v)),
      1,
    )[0];
  const k = one('Floor', one('Add', one('Mul', x, 1 / Math.PI), shift));
  const turns = one('Add', k, 0.5 - shift);
  const r = PI_PARTS.reduce((rest, part) => one('Sub', rest, one('Mul', turns, part)), x);
  const squared = one('Mul', r, r);
  const series = TAYLOR.slice(0, -1).reduceRight(
    (sum, factor) => one('Add', one('Mul', sum, squared), factor),
    emit.floats([TAYLOR[TAYLOR.length - 1]], []),
  );
  const odd = one('Sub', k, one('Mul', one('Floor', one('Mul', k, 0.5)), 2)); // 0 or 1
  const signed = shift > 0 ? one('Sub', 1, one('Mul', odd, 2)) : one('Sub', one('Mul', odd, 2), 1);
  emit.node('Mul', [one('Mul', series, r), signed], outputs);
}
