/** How torch starts matrices. */
import type { RandomStream } from '../base/rng.js';
import { float32, sizeOf, type HostTensor, type Shape } from '../tensor/host.js';

/** torch.nn.init.kaiming_uniform_ with a = sqrt 5: uniform within 1 / sqrt(fan in). */
export function kaimingUniform(shape: Shape, draw: RandomStream): HostTensor {
  const size = sizeOf(shape);
  const bound = 1 / Math.sqrt(size / shape[0]);
  return float32(
    Float32Array.from({ length: size }, () => bound * (2 * draw.uniform() - 1)),
    shape,
  );
}
