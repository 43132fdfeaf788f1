import { add, narrow, pad, reshape, silu, upsampleNearest2x } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import { conv2d } from './conv.js';
import { linear } from './linear.js';
import { groupNorm } from './norm.js';
import type { Scope } from './scope.js';

/** x [B, C, h, w], temb [B, E] already through SiLU (absent in the VAE) -> [B, out, h, w] */
export function resnet(
  scope: Scope,
  x: Tensor,
  temb: Tensor | undefined,
  out: number,
  groups: number,
  eps: number,
): Tensor {
  const [B, C] = x.shape;
  const first = conv2d(scope.child('conv1'), silu(groupNorm(scope.child('norm1'), x, groups, eps)), out);
  const shifted = temb ? add(first, reshape(linear(scope.child('time_emb_proj'), temb, out), [B, out, 1, 1])) : first;
  const second = conv2d(scope.child('conv2'), silu(groupNorm(scope.child('norm2'), shifted, groups, eps)), out);
  return add(C === out ? x : conv2d(scope.child('conv_shortcut'), x, out, { kernel: 1 }), second);
}

/** Nearest 2x, cut to `size` when a skip connection is one smaller, then a 3x3 convolution. */
export function upsample(scope: Scope, x: Tensor, size?: readonly [number, number]): Tensor {
  const twice = upsampleNearest2x(x);
  const fitted = size ? narrow(narrow(twice, 2, 0, size[0]), 3, 0, size[1]) : twice;
  return conv2d(scope.child('conv'), fitted, x.shape[1]);
}

/**
 * 3x3 convolution of stride 2. Padding 0 stands for a row of zeros below and a column on the right, as the first latent
 * diffusion code padded.
 */
export function downsample(scope: Scope, x: Tensor, padding: number): Tensor {
  const padded = padding === 0 ? pad(x, [0, 0, 0, 0], [0, 0, 1, 1]) : x;
  return conv2d(scope.child('conv'), padded, x.shape[1], { stride: 2, padding });
}
