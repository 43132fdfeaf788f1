/**
 * Forms for files that other programs run: operators of the standard alone (ai.onnx, opset 17), which every provider of
 * ONNX Runtime, also in browsers, computes. None of them depends on a size that the file leaves open, but through its shape.
 */
import type { EmitIo, Emitter } from '../../tensor/primitive.js';
import { uniformValue } from '../../tensor/passes/pattern.js';
import type { Attrs, Tensor } from '../../tensor/tensor.js';
import type { Lowering } from './emit.js';
import type { OpenSizes } from './open-sizes.js';
import { WEBGPU } from './webgpu.js';

/** The first with LayerNormalization; what it lacks of later ones is written out here. */
export const PORTABLE_OPSET = 17;

/** Probabilities of attention held at once: 128 MiB, which every WebGPU device binds at least. */
const PROBABILITIES = 2 ** 25;

type Io = EmitIo<Attrs>;

export const portable = (sizes: OpenSizes): Lowering => ({
  ...WEBGPU,
  attention: (emit, io) => attention(emit, io, sizes),
  gelu,
  layerNorm,
});

const one = (emit: Emitter, op: string, of: readonly string[], more?: Parameters<Emitter['node']>[3]): string =>
  emit.node(op, of, 1, more)[0];

/** Products and softmax, a few heads at a time: the number of heads is known, that of pixels is not. */
function attention(emit: Emitter, { inputs: [q, k, v], outputs, attrs, inTypes }: Io, sizes: OpenSizes): void {
  const [B, T, D] = inTypes[0].shape,
    S = inTypes[1].shape[1],
    heads = Number(attrs['heads']),
    K = D / heads;
  const split = (x: string, n: number, perm: readonly number[]): string =>
    one(emit, 'Transpose', [one(emit, 'Reshape', [x, emit.shape([B, n, heads, K])])], { perm: { ints: perm } });
  const Q = split(one(emit, 'Mul', [q, emit.floats([Number(attrs['scale'])], [])]), T, [0, 2, 1, 3]),
    turned = split(k, S, [0, 2, 3, 1]),
    V = split(v, S, [0, 2, 1, 3]);
  const perHead = sizes.usual(B) * sizes.usual(T) * sizes.usual(S),
    some = Math.min(heads, Math.max(1, Math.floor(PROBABILITIES / perHead)));
  const parts = Array.from({ length: Math.ceil(heads / some) }, (_, i) => {
    const [from, to] = [i * some, Math.min(heads, (i + 1) * some)];
    const cut = (x: string): string =>
      to - from === heads ? x : one(emit, 'Slice', [x, emit.ints([from]), emit.ints([to]), emit.ints([1])]);
    const scores = one(emit, 'MatMul', [cut(Q), cut(turned)]);
    return one(emit, 'MatMul', [one(emit, 'Softmax', [scores], { axis: { i: -1 } }), cut(V)]);
  });
  const y = parts.length === 1 ? parts[0] : one(emit, 'Concat', parts, { axis: { i: 1 } });
  emit.node('Reshape', [one(emit, 'Transpose', [y], { perm: { ints: [0, 2, 1, 3] } }), emit.shape([B, T, D])], outputs);
}

/** 0.5 x (1 + erf(x / sqrt 2)) */
function gelu(emit: Emitter, { inputs: [x], outputs }: Io): void {
  const erf = one(emit, 'Erf', [one(emit, 'Mul', [x, emit.floats([Math.SQRT1_2], [])])]);
  const half = one(emit, 'Mul', [x, emit.floats([0.5], [])]);
  emit.node('Mul', [half, one(emit, 'Add', [erf, emit.floats([1], [])])], outputs);
}

/** Unit scale over an open width is group norm: the file has no scale of that width, so each row is an instance of its own. */
function layerNorm(emit: Emitter, { inputs: [x, scale, ...bias], outputs: [y], attrs, inTypes }: Io): void {
  const epsilon = { f: Number(attrs['eps']) },
    { shape } = inTypes[0],
    isUnit = bias.length === 0 && uniformValue(inTypes[1] as Tensor) === 1;
  if (!isUnit) return void emit.node('LayerNormalization', [x, scale, ...bias], [y], { axis: { i: -1 }, epsilon });
  const [rows, width] = shape;
  const rowsApart = one(emit, 'Reshape', [x, emit.shape([rows, 1, width])]);
  const normal = one(emit, 'InstanceNormalization', [rowsApart, emit.floats([1]), emit.floats([0])], { epsilon });
  emit.node('Reshape', [normal, emit.shape(shape)], [y]);
}
