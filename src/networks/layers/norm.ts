import { add, div, layerNorm as normalize, mul, reshape, sqrt, square, sumLast } from '../../tensor/ops.js';
import { fill, type Tensor } from '../../tensor/tensor.js';
import type { Scope } from './scope.js';

/** Wu and He, arXiv 1803.08494: x [B, C, H, W] normalised over groups of channels, then scale and bias per channel. */
export function groupNorm(scope: Scope, x: Tensor, groups: number, eps: number): Tensor {
  const [B, C, H, W] = x.shape,
    width = (C / groups) * H * W;
  // As a layer norm of [B * groups, width] with unit scale: its statistics serve the gradient.
  const normal = reshape(normalize(reshape(x, [B * groups, width]), fill(1, [width]), undefined, eps), x.shape);
  return add(mul(normal, reshape(scope.param('weight', [C]), [C, 1, 1])), reshape(scope.param('bias', [C]), [C, 1, 1]));
}

/** Over the last axis, with scale and bias. */
export function layerNorm(scope: Scope, x: Tensor, eps: number): Tensor {
  const width = x.shape[x.shape.length - 1];
  return normalize(x, scope.param('weight', [width]), scope.param('bias', [width]), eps);
}

/** Rows [B, P] divided by their lengths. */
export const unitRows = (x: Tensor): Tensor => div(x, sqrt(add(sumLast(square(x)), 1e-12)));
