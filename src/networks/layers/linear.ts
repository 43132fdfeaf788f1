import { add, gemm, mul, reshape, transpose, unpackedAfter } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Adapter, Scope } from './scope.js';

/** x [..., in] W^T + b -> [..., out], plus the module's low-rank adapter. Weights in torch's [out, in] order. */
export function linear(scope: Scope, x: Tensor, outFeatures: number, { bias = true } = {}): Tensor {
  const inFeatures = x.shape[x.shape.length - 1];
  const shape = [outFeatures, inFeatures];
  const rows = x.shape.slice(0, -1).reduce((a, b) => a * b, 1);
  const flat = reshape(x, [rows, inFeatures]);
  const y = gemm(
    flat,
    unpackedAfter(scope.param('weight', shape), [x]),
    bias ? scope.param('bias', [outFeatures]) : undefined,
    false,
    true,
  );
  return scope.tap(reshape(withAdapter(y, flat, scope.adapter(shape)), [...x.shape.slice(0, -1), outFeatures]));
}

/** y + scale * (x A^T) B^T for x [rows, in]. */
function withAdapter(y: Tensor, x: Tensor, adapter: Adapter | undefined): Tensor {
  if (!adapter) return y;
  const { A, B, scale } = adapter,
    rank = A.shape[0];
  const low = gemm(x, reshape(A, [rank, A.shape[1]]), undefined, false, true);
  const delta = gemm(low, reshape(B, [B.shape[0], rank]), undefined, false, true);
  return add(y, scale === 1 ? delta : mul(delta, scale));
}

/** Pixels to tokens with a projection: x [B, C, h, w] -> [B, h*w, out]. A linear layer, or the 1x1 convolution it equals. */
export function pixelsToTokens(scope: Scope, x: Tensor, out: number, isLinear: boolean): Tensor {
  const [B, C, h, w] = x.shape,
    T = h * w;
  const shape = isLinear ? [out, C] : [out, C, 1, 1];
  const weight = reshape(unpackedAfter(scope.param('weight', shape), [x]), [out, C]),
    bias = scope.param('bias', [out]);
  const adapter = scope.adapter(shape);
  // One sample: the product reads the pixels transposed, nothing is moved.
  if (B === 1 && !adapter) return scope.tap(reshape(gemm(reshape(x, [C, T]), weight, bias, true, true), [1, T, out]));
  const tokens = reshape(transpose(reshape(x, [B, C, T]), [0, 2, 1]), [B * T, C]);
  return scope.tap(reshape(withAdapter(gemm(tokens, weight, bias, false, true), tokens, adapter), [B, T, out]));
}

/** The way back: tokens [B, h*w, D] -> [B, out, h, w]. */
export function tokensToPixels(
  scope: Scope,
  x: Tensor,
  out: number,
  [h, w]: readonly [number, number],
  isLinear: boolean,
): Tensor {
  const [B, T, D] = x.shape;
  const shape = isLinear ? [out, D] : [out, D, 1, 1];
  const weight = reshape(unpackedAfter(scope.param('weight', shape), [x]), [out, D]),
    bias = scope.param('bias', [out]);
  const adapter = scope.adapter(shape),
    tokens = reshape(x, [B * T, D]);
  if (B === 1 && !adapter)
    return scope.tap(
      reshape(add(gemm(weight, tokens, undefined, false, true), reshape(bias, [out, 1])), [1, out, h, w]),
    );
  const y = withAdapter(gemm(tokens, weight, bias, false, true), tokens, adapter);
  return scope.tap(reshape(transpose(reshape(y, [B, T, out]), [0, 2, 1]), [B, out, h, w]));
}
