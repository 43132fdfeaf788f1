/** Noise levels sigma = sqrt((1 - a) / a), in which k-diffusion's samplers count; Karras et al., arXiv 2206.00364. */
import { UserError } from '../../base/errors.js';
import { betaQuantile } from './beta-quantile.js';
import type { NoiseSchedule } from './noise-schedule.js';
import { LEAST_SIGNAL } from './snr.js';
import { roundHalfEven, spacedTimesteps, type Spacing } from './spaced-timesteps.js';

const f32 = Math.fround;
const RHO = 7; // Karras et al., equation 5
const BETA_SHAPE = 0.6; // as diffusers

/** Of every training timestep, rising; finite also with zero-terminal SNR. */
export const trainedSigmas = ({ alphasCumprod }: NoiseSchedule): number[] =>
  Array.from(alphasCumprod, (a) => {
    const share = a === 0 ? LEAST_SIGNAL : a;
    return f32(Math.sqrt(f32(f32(1 - share) / share)));
  });

export interface SigmaPlan {
  /** what the U-Net is told at each step */
  readonly timesteps: number[];
  /** noise level at each step */
  readonly sigmas: number[];
}

export interface LevelOptions {
  readonly use_karras_sigmas: boolean;
  readonly use_exponential_sigmas: boolean;
  readonly use_beta_sigmas: boolean;
  readonly sigma_min?: number;
  readonly sigma_max?: number;
}

/** @throws UserError when more than one way to spread the levels is on */
export function checkLevels(opts: LevelOptions): void {
  const on = (['use_karras_sigmas', 'use_exponential_sigmas', 'use_beta_sigmas'] as const).filter((key) => opts[key]);
  if (on.length > 1) throw new UserError(`${on.join(' and ')} are both on; set all but one to false`);
}

/** Noise levels of timesteps, which may lie between whole ones. */
export const levelsAt = (timesteps: readonly number[], trained: readonly number[]): number[] =>
  timesteps.map((t) => f32(interpolate(trained, t)));

/** As `levelOptions` ask, n levels from `top` to `bottom` and the timesteps nearest to them; undefined when none of them is on. */
export function spreadLevels(
  n: number,
  top: number,
  bottom: number,
  trained: readonly number[],
  opts: LevelOptions,
): SigmaPlan | undefined {
  const [high, low] = [opts.sigma_max ?? top, opts.sigma_min ?? bottom];
  let at: (share: number) => number;
  if (opts.use_karras_sigmas) {
    const [start, end] = [high ** (1 / RHO), low ** (1 / RHO)];
    at = (share) => (start + share * (end - start)) ** RHO;
  } else if (opts.use_exponential_sigmas) at = evenLogarithms(high, low);
  else if (opts.use_beta_sigmas) at = (share) => low + betaQuantile(1 - share, BETA_SHAPE) * (high - low);
  else return undefined;
  return levelsBy(n, at, trained);
}

/** Levels even in their logarithm. */
export const evenLogarithms =
  (high: number, low: number) =>
  (share: number): number =>
    Math.exp(Math.log(high) + share * (Math.log(low) - Math.log(high)));

/** n levels of a curve over 0..1, and the timesteps nearest to them. */
export function levelsBy(n: number, at: (share: number) => number, trained: readonly number[]): SigmaPlan {
  const levels = Array.from({ length: n }, (_, i) => at(n === 1 ? 0 : i / (n - 1)));
  return { timesteps: levels.map((s) => timestepOf(s, trained)), sigmas: levels.map(f32) };
}

/**
 * Plan of k-diffusion's samplers: levels of the spaced timesteps, or spread between the first and the last of those.
 * @param roundKarras the timesteps of Karras' levels are whole
 */
export function sigmaPlan(
  steps: number,
  trained: readonly number[],
  opts: LevelOptions & Spacing,
  roundKarras = false,
): SigmaPlan {
  const timesteps = spacedTimesteps(steps, opts, true),
    sigmas = levelsAt(timesteps, trained);
  const spread = spreadLevels(steps, sigmas[0], sigmas[steps - 1], trained, opts);
  if (!spread) return { timesteps, sigmas };
  return opts.use_karras_sigmas && roundKarras ? { ...spread, timesteps: spread.timesteps.map(roundHalfEven) } : spread;
}

/** Levels in the geometric middle of two each, and the timesteps nearest to them. */
export function midLevels(high: readonly number[], low: readonly number[], trained: readonly number[]): SigmaPlan {
  const sigmas = high.map((sigma, i) => f32(Math.sqrt(sigma * low[i])));
  return { sigmas, timesteps: sigmas.map((sigma) => timestepOf(sigma, trained)) };
}

/** An ancestral step: down to less than the next level, then fresh noise up to it. */
export interface Ancestral {
  readonly up: number;
  readonly down: number;
}

/** Katherine Crowson's split of a step between two noise levels. */
export function ancestral(sigma: number, next: number): Ancestral {
  const up = Math.sqrt((next ** 2 * (sigma ** 2 - next ** 2)) / sigma ** 2);
  return { up, down: Math.sqrt(next ** 2 - up ** 2) };
}

function interpolate(values: readonly number[], at: number): number {
  const i = Math.min(Math.floor(at), values.length - 2);
  return i < 0 ? values[0] : values[i] + (values[i + 1] - values[i]) * (at - i);
}

/** Linear in log sigma between the two neighbours. */
export function timestepOf(sigma: number, trained: readonly number[]): number {
  const x = Math.log(Math.max(sigma, 1e-10));
  const above = trained.findIndex((s) => f32(Math.log(s)) > x);
  const i = Math.max(0, Math.min((above < 0 ? trained.length : above) - 1, trained.length - 2));
  const [low, high] = [f32(Math.log(trained[i])), f32(Math.log(trained[i + 1]))];
  const share = Math.min(1, Math.max(0, (low - x) / (low - high)));
  return (1 - share) * i + share * (i + 1);
}

/** Deviation of the start noise: the largest level, or that of signal plus noise for "leading". */
export function startSigma(sigmas: readonly number[], timestepSpacing: string): number {
  const top = Math.max(...sigmas);
  return timestepSpacing === 'leading' ? Math.sqrt(top ** 2 + 1) : top;
}

/** To the unit variance that the U-Net was trained on. */
export function scaleBySigma(sample: Float32Array, sigma: number): Float32Array {
  const deviation = f32(Math.sqrt(f32(f32(sigma ** 2) + 1)));
  return sample.map((x) => x / deviation);
}
