/** Samplers: how noise becomes a picture in few steps. Names and defaults as diffusers 0.26. */
import { Registry } from '../../registry/registry.js';
import { UserError } from '../../base/errors.js';
import { NoiseSchedule } from './noise-schedule.js';

export abstract class Scheduler {
  /** From the noisiest; what the U-Net is told. Set by `setTimesteps`; PNDM visits one twice, so this may be longer than asked. */
  timesteps: number[] = [];
  /** Standard deviation of the start noise. */
  initNoiseSigma = 1;
  /** Plans the steps and forgets the history of earlier ones. @param steps from 1 to num_train_timesteps */
  abstract setTimesteps(steps: number): void;
  /** What the U-Net sees of `sample` at step `index`. */
  scaleModelInput(sample: Float32Array, _index: number): Float32Array {
    return sample;
  }
  /**
   * The sample of the next step. Call with index 0, 1, 2, ...: multistep methods remember earlier predictions.
   * @param output the U-Net's prediction @param noise standard normals of the same length, when the method is stochastic
   */
  abstract step(output: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): Float32Array;
}

/** Options that all samplers share. */
export const commonProperties = {
  num_train_timesteps: { type: 'integer', minimum: 1, default: 1000, description: 'noise levels of training' },
  beta_start: { type: 'number', default: 0.0001, description: 'first beta' },
  beta_end: { type: 'number', default: 0.02, description: 'last beta' },
  beta_schedule: {
    type: 'string',
    enum: ['linear', 'scaled_linear', 'squaredcos_cap_v2'],
    default: 'linear',
    description: 'how beta grows',
  },
  prediction_type: {
    type: 'string',
    enum: ['epsilon', 'v_prediction'],
    default: 'epsilon',
    description: 'what the U-Net predicts',
  },
  steps_offset: { type: 'integer', default: 0, description: 'added to the timesteps of "leading"' },
} as const;
export const spacing = (fallback: 'leading' | 'linspace') =>
  ({
    timestep_spacing: {
      type: 'string',
      enum: ['leading', 'linspace', 'trailing'],
      default: fallback,
      description: 'how the steps are spread; Lin et al., arXiv 2305.08891, table 2',
    },
  }) as const;

/** Limits of the predicted picture. Off unless a config says otherwise: Stable Diffusion's pipelines never clip latents. */
export const clipping = {
  clip_sample: {
    type: 'boolean',
    default: false,
    description: 'limit the predicted picture; for models of pixels, not of latents',
  },
  clip_sample_range: { type: 'number', exclusiveMinimum: 0, default: 1, description: 'the limit, on both sides of 0' },
} as const;

export interface CommonOptions {
  readonly num_train_timesteps: number;
  readonly beta_start: number;
  readonly beta_end: number;
  readonly beta_schedule: string;
  readonly prediction_type: string;
  readonly steps_offset: number;
  readonly timestep_spacing: string;
}

export const scheduleOf = (options: CommonOptions): NoiseSchedule => new NoiseSchedule({ ...options });

/** Limits values as `clipping` asks. */
export function clipper({
  clip_sample,
  clip_sample_range: limit,
}: {
  clip_sample: boolean;
  clip_sample_range: number;
}): (x0: number) => number {
  return clip_sample ? (x0) => Math.min(limit, Math.max(-limit, x0)) : (x0) => x0;
}

/** NumPy's rounding: halves to even. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x),
    rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** @throws UserError unless `steps` is a whole number from 1 to `most` */
export function checkSteps(steps: number, most: number): void {
  if (!Number.isInteger(steps) || steps < 1 || steps > most)
    throw new UserError(`steps: ${steps}; the number of sampling steps is a whole number from 1 to ${most}`);
}

/**
 * n timesteps from the noisiest, whole numbers (not rounded for `linspace` when `exact`).
 * @throws UserError when n is not from 1 to num_train_timesteps, or steps_offset pushes the first beyond the last that was trained
 */
export function spacedTimesteps(
  n: number,
  { num_train_timesteps: total, steps_offset: offset, timestep_spacing: kind }: CommonOptions,
  exact = false,
): number[] {
  checkSteps(n, total);
  const at = (i: number): number => {
    if (kind === 'linspace') {
      const value = n === 1 ? 0 : (i * (total - 1)) / (n - 1);
      return exact ? value : roundHalfEven(value);
    }
    return kind === 'leading'
      ? i * Math.floor(total / n) + offset
      : roundHalfEven(total - (n - 1 - i) * (total / n)) - 1;
  };
  const timesteps = Array.from({ length: n }, (_, i) => at(n - 1 - i));
  if (timesteps[0] >= total) {
    throw new UserError(
      `steps: with steps_offset ${offset} the first would be timestep ${timesteps[0]}, but ${total - 1} is the last of training; use fewer steps`,
    );
  }
  return timesteps;
}

/** x0 and noise from a prediction, a = alphas_cumprod of the timestep; DDIM equation 12 (Song et al., arXiv 2010.02502). */
export function splitPrediction(output: number, x: number, a: number, isVelocity: boolean): readonly [number, number] {
  const [sa, sb] = [Math.sqrt(a), Math.sqrt(1 - a)];
  return isVelocity ? [sa * x - sb * output, sa * output + sb * x] : [(x - sb * output) / sa, output];
}

export const SCHEDULERS = new Registry<Scheduler>('SCHEDULERS', 'scheduler');
