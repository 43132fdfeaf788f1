/** How much noise each training timestep carries. Rounded to float32 at the same places as diffusers. */
import { UserError } from '../../base/errors.js';
import {
  PREDICTION_TYPES,
  choiceOption,
  numberOption,
  refuse,
  type PredictionType,
  type SchedulerConfig,
} from './scheduler-options.js';

const f32 = Math.fround;

export class NoiseSchedule {
  readonly numTrainTimesteps: number;
  readonly predictionType: PredictionType;
  /** Length numTrainTimesteps, as the next. */
  readonly betas: Float32Array;
  /** Product of (1 - beta) up to each timestep. */
  readonly alphasCumprod: Float32Array;

  /** @param config a diffusers scheduler_config.json @throws UserError on a value we cannot honour */
  constructor(config: SchedulerConfig) {
    refuse(config, ['rescale_betas_zero_snr', 'trained_betas']);
    this.predictionType = choiceOption(config, 'prediction_type', PREDICTION_TYPES, 'epsilon');
    this.betas = betasOf(config);
    this.numTrainTimesteps = this.betas.length;
    let product = 1; // torch's cumprod on a CPU accumulates in double
    this.alphasCumprod = this.betas.map((beta) => (product *= f32(1 - beta)));
  }

  /** Signal-to-noise ratio of each timestep, in diffusers' order of roundings: (sqrt(a) / sqrt(1 - a))^2. */
  snr(): Float32Array {
    return this.alphasCumprod.map((a) => {
      const ratio = f32(f32(Math.sqrt(a)) / f32(Math.sqrt(f32(1 - a))));
      return ratio * ratio;
    });
  }

  /** sqrt(a) x0 + sqrt(1 - a) noise, for one sample. */
  addNoise(latents: Float32Array, noise: Float32Array, timestep: number): Float32Array {
    const [signal, spread] = this.scales(timestep);
    return latents.map((x, i) => f32(signal * x) + f32(spread * noise[i]));
  }

  /** What v prediction learns: sqrt(a) noise - sqrt(1 - a) x0, for one sample. */
  velocity(latents: Float32Array, noise: Float32Array, timestep: number): Float32Array {
    const [signal, spread] = this.scales(timestep);
    return latents.map((x, i) => f32(signal * noise[i]) - f32(spread * x));
  }

  private scales(timestep: number): [signal: number, spread: number] {
    const a = this.alphasCumprod[timestep];
    if (a === undefined) throw new RangeError(`timestep ${timestep}: not from 0 to ${this.numTrainTimesteps - 1}`);
    return [f32(Math.sqrt(a)), f32(Math.sqrt(f32(1 - a)))];
  }
}

/** A table is made of them; models have 1000. */
const MAX_TIMESTEPS = 1_000_000;

function betasOf(config: SchedulerConfig): Float32Array {
  const n = numberOption(config, 'num_train_timesteps', 1000);
  if (!Number.isInteger(n) || n < 1 || n > MAX_TIMESTEPS)
    throw new UserError(
      `scheduler_config.json: num_train_timesteps is ${n}; it must be a whole number from 1 to ${MAX_TIMESTEPS}`,
    );
  const start = numberOption(config, 'beta_start', 1e-4),
    end = numberOption(config, 'beta_end', 0.02);
  switch (choiceOption(config, 'beta_schedule', ['linear', 'scaled_linear', 'squaredcos_cap_v2'], 'linear')) {
    case 'linear':
      return linspaceFloat32(start, end, n);
    case 'scaled_linear':
      return linspaceFloat32(Math.sqrt(start), Math.sqrt(end), n).map((root) => root * root);
    case 'squaredcos_cap_v2':
      return cosineBetas(n);
  }
}

/** torch.linspace in float32: from the nearer end, so that both ends are exact. */
export function linspaceFloat32(start: number, end: number, n: number): Float32Array {
  const first = f32(start),
    last = f32(end),
    step = n > 1 ? f32(f32(last - first) / f32(n - 1)) : 0;
  return Float32Array.from({ length: n }, (_, i) => (i < n / 2 ? first + step * i : last - step * (n - 1 - i)));
}

/** Nichol and Dhariwal, "Improved denoising diffusion probabilistic models", arXiv 2102.09672: cosine, betas capped at 0.999. */
function cosineBetas(n: number): Float32Array {
  const alphaBar = (t: number): number => Math.cos(((t + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
  return Float32Array.from({ length: n }, (_, i) => Math.min(1 - alphaBar((i + 1) / n) / alphaBar(i / n), 0.999));
}
