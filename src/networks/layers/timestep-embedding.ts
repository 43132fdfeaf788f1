import { concat, cos, mul, reshape, silu, sin, vector } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import { linear } from './linear.js';
import type { Scope } from './scope.js';

const MAX_PERIOD = 10000; // get_timestep_embedding, diffusers embeddings.py

/** Sinusoids of timesteps [B] float32 -> [B, dim]; Vaswani et al., arXiv 1706.03762, section 3.5. */
export function timestepSinusoid(timesteps: Tensor, dim: number, flipSinToCos: boolean, freqShift: number): Tensor {
  const half = dim / 2;
  // Rounded where diffusers rounds: at timestep 999 one unit in the last place of a rate is 6e-5 of the sine.
  const f32 = Math.fround;
  const rates = Array.from({ length: half }, (_, i) =>
    f32(Math.exp(f32(f32(f32(-Math.log(MAX_PERIOD)) * i) / (half - freqShift)))),
  );
  const angles = mul(reshape(timesteps, [timesteps.shape[0], 1]), vector(rates));
  return concat(flipSinToCos ? [cos(angles), sin(angles)] : [sin(angles), cos(angles)], 1);
}

/** The two-layer MLP on the sinusoids: [B, dim] -> [B, 4 * dim of the first block]. */
export function timestepMlp(scope: Scope, sinusoid: Tensor, width: number): Tensor {
  return linear(scope.child('linear_2'), silu(linear(scope.child('linear_1'), sinusoid, width)), width);
}
