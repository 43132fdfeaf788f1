import { gemm, narrow, reshape, transpose } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Scope } from './scope.js';

/**
 * The convolution whose stride is its kernel, as one product. Pixels that fill no patch are left out.
 * @param scope of the convolution @param pixels [B, C, H, W] @param p pixels of a patch's side
 * @returns [B, patches, features], row by row
 */
export function patches(scope: Scope, pixels: Tensor, p: number, features: number, { bias = true } = {}): Tensor {
  const [B, C, H, W] = pixels.shape,
    rows = Math.floor(H / p),
    columns = Math.floor(W / p),
    n = rows * columns;
  const x = narrow(narrow(pixels, 2, 0, rows * p), 3, 0, columns * p);
  const lines = transpose(reshape(x, [B * C * rows, p, columns, p]), [0, 2, 1, 3]); // a patch of one channel together
  const cut = reshape(transpose(reshape(lines, [B, C, n, p * p]), [0, 2, 1, 3]), [B * n, C * p * p]);
  const kernel = reshape(scope.param('weight', [features, C, p, p]), [features, C * p * p]);
  const out = gemm(cut, kernel, bias ? scope.param('bias', [features]) : undefined, false, true);
  return reshape(scope.tap(out), [B, n, features]);
}
