import { add, conv2d as convolve, mul, unpackedAfter } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Scope } from './scope.js';

export interface ConvOptions {
  readonly kernel?: number;
  readonly stride?: number;
  /** zeros on every side, or top, left, bottom, right */
  readonly padding?: number | readonly number[];
}

/** x [B, C, H, W] -> [B, out, H', W'], plus the module's low-rank adapter (A is a convolution, B a 1x1 one, as in PEFT). */
export function conv2d(
  scope: Scope,
  x: Tensor,
  out: number,
  { kernel = 3, stride = 1, padding = (kernel - 1) / 2 }: ConvOptions = {},
): Tensor {
  const shape = [out, x.shape[1], kernel, kernel];
  const y = convolve(x, unpackedAfter(scope.param('weight', shape), [x]), scope.param('bias', [out]), stride, padding);
  const adapter = scope.adapter(shape);
  if (!adapter) return scope.tap(y);
  const delta = convolve(convolve(x, adapter.A, undefined, stride, padding), adapter.B, undefined, 1, 0);
  return scope.tap(add(y, adapter.scale === 1 ? delta : mul(delta, adapter.scale)));
}
