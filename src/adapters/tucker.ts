/** A convolution's weight from a small core and two matrices (Tucker decomposition), as LyCORIS and PEFT store it. */
import { matmul, reshape, transpose } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';

/**
 * @param core [r, r, kh, kw] @param outer [r, P] @param inner [r, C]
 * @returns [P, C, kh, kw]: entry (p, c, y, x) sums core[i, j, y, x] outer[i, p] inner[j, c] over i and j
 */
export function rebuildTucker(core: Tensor, outer: Tensor, inner: Tensor): Tensor {
  const [r, , kh, kw] = core.shape;
  const P = outer.shape[1];
  const C = inner.shape[1];
  const left = matmul(outer, reshape(core, [r, r * kh * kw]), true); // [P, r * kh * kw]
  const byPixel = transpose(reshape(left, [P, r, kh * kw]), [0, 2, 1]); // [P, kh * kw, r]
  const whole = matmul(reshape(byPixel, [P * kh * kw, r]), inner); // [P * kh * kw, C]
  return reshape(transpose(reshape(whole, [P, kh * kw, C]), [0, 2, 1]), [P, C, kh, kw]);
}
