import { conv2d as convolve, reshape, unpackedAfter } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { AdaptedLayer, Scope } from './scope.js';

export interface ConvOptions {
  readonly kernel?: number;
  readonly stride?: number;
  /** zeros on every side, or top, left, bottom, right */
  readonly padding?: number | readonly number[];
}

/** x [B, C, H, W] -> [B, out, H', W'], changed by the module's adapter. */
export function conv2d(
  scope: Scope,
  x: Tensor,
  out: number,
  { kernel = 3, stride = 1, padding = (kernel - 1) / 2 }: ConvOptions = {},
): Tensor {
  const shape = [out, x.shape[1], kernel, kernel];
  const weight = unpackedAfter(scope.param('weight', shape), [x]);
  const bias = scope.param('bias', [out]);
  const layer: AdaptedLayer = {
    input: x,
    weight,
    bias,
    apply: (w, b, from = x) => convolve(from, w, b, stride, padding),
    mix: (answer, w) => convolve(answer, w, undefined, 1, 0),
    perOutput: (values) => reshape(values, [out, 1, 1]),
  };
  const adapter = scope.adapter(shape);
  return scope.tap(adapter ? adapter.answer(layer) : layer.apply(weight, bias));
}
