import { add, gemm, reshape, transpose, unpackedAfter } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { AdaptedLayer, Scope } from './scope.js';

/** x [..., in] W^T + b -> [..., out], changed by the module's adapter. Weights in torch's [out, in] order. */
export function linear(scope: Scope, x: Tensor, outFeatures: number, { bias = true } = {}): Tensor {
  const inFeatures = x.shape[x.shape.length - 1];
  const shape = [outFeatures, inFeatures];
  const rows = x.shape.slice(0, -1).reduce((a, b) => a * b, 1);
  const weight = unpackedAfter(scope.param('weight', shape), [x]);
  const layer = onRows(reshape(x, [rows, inFeatures]), weight, bias ? scope.param('bias', [outFeatures]) : undefined);
  return scope.tap(reshape(answerOf(scope, layer), [...x.shape.slice(0, -1), outFeatures]));
}

/** A layer on rows [rows, in]; its weight may be that of the 1x1 convolution it equals. */
function onRows(input: Tensor, weight: Tensor, bias: Tensor | undefined): AdaptedLayer {
  const multiply = (x: Tensor, w: Tensor, b?: Tensor): Tensor =>
    gemm(x, reshape(w, [w.shape[0], w.shape[1]]), b, false, true);
  return {
    input,
    weight,
    bias,
    apply: (w, b, from = input) => multiply(from, w, b),
    mix: (answer, w) => multiply(answer, w),
    perOutput: (values) => values,
  };
}

function answerOf(scope: Scope, layer: AdaptedLayer): Tensor {
  const adapter = scope.adapter(layer.weight.shape);
  return adapter ? adapter.answer(layer) : layer.apply(layer.weight, layer.bias);
}

/** Pixels to tokens with a projection: x [B, C, h, w] -> [B, h*w, out]. A linear layer, or the 1x1 convolution it equals. */
export function pixelsToTokens(scope: Scope, x: Tensor, out: number, isLinear: boolean): Tensor {
  const [B, C, h, w] = x.shape;
  const T = h * w;
  const shape = isLinear ? [out, C] : [out, C, 1, 1];
  const weight = unpackedAfter(scope.param('weight', shape), [x]);
  const bias = scope.param('bias', [out]);
  // One sample: the product reads the pixels transposed, nothing is moved.
  if (B === 1 && !scope.adapter(shape)) {
    const tokens = gemm(reshape(x, [C, T]), reshape(weight, [out, C]), bias, true, true);
    return scope.tap(reshape(tokens, [1, T, out]));
  }
  const tokens = reshape(transpose(reshape(x, [B, C, T]), [0, 2, 1]), [B * T, C]);
  return scope.tap(reshape(answerOf(scope, onRows(tokens, weight, bias)), [B, T, out]));
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
  const weight = unpackedAfter(scope.param('weight', shape), [x]);
  const bias = scope.param('bias', [out]);
  const tokens = reshape(x, [B * T, D]);
  if (B === 1 && !scope.adapter(shape)) {
    const pixels = gemm(reshape(weight, [out, D]), tokens, undefined, false, true);
    return scope.tap(reshape(add(pixels, reshape(bias, [out, 1])), [1, out, h, w]));
  }
  const y = answerOf(scope, onRows(tokens, weight, bias));
  return scope.tap(reshape(transpose(reshape(y, [B, T, out]), [0, 2, 1]), [B, out, h, w]));
}
