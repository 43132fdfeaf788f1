/** Noise levels sigma = sqrt((1 - a) / a), in which k-diffusion's samplers count; Karras et al., arXiv 2206.00364. */
import type { NoiseSchedule } from './noise-schedule.js';

const RHO = 7; // Karras et al., equation 5

/** Of every training timestep, rising. */
export const trainedSigmas = ({ alphasCumprod }: NoiseSchedule): number[] =>
  Array.from(alphasCumprod, (a) => Math.sqrt((1 - a) / a));

export interface SigmaPlan {
  readonly timesteps: number[];
  readonly sigmas: number[];
}

/** Noise levels of the timesteps, which may lie between whole ones. */
export function sigmaPlan(timesteps: readonly number[], trained: readonly number[]): SigmaPlan {
  return { timesteps: [...timesteps], sigmas: timesteps.map((t) => Math.fround(interpolate(trained, t))) };
}

/** n levels from `top` to `bottom` by Karras' rule, and the timesteps nearest to them. */
export function karrasPlan(n: number, top: number, bottom: number, trained: readonly number[]): SigmaPlan {
  const [high, low] = [top ** (1 / RHO), bottom ** (1 / RHO)];
  const spread = Array.from({ length: n }, (_, i) =>
    Math.fround((high + (n === 1 ? 0 : i / (n - 1)) * (low - high)) ** RHO),
  );
  return { timesteps: spread.map((s) => timestepOf(s, trained)), sigmas: spread };
}

function interpolate(values: readonly number[], at: number): number {
  const i = Math.min(Math.floor(at), values.length - 2);
  return values[i] + (values[i + 1] - values[i]) * (at - i);
}

/** Linear in log sigma between the two neighbours. */
function timestepOf(sigma: number, trained: readonly number[]): number {
  const x = Math.log(Math.max(sigma, 1e-10));
  const above = trained.findIndex((s) => Math.log(s) > x);
  const i = Math.max(0, Math.min((above < 0 ? trained.length : above) - 1, trained.length - 2));
  const [low, high] = [Math.log(trained[i]), Math.log(trained[i + 1])];
  return i + Math.min(1, Math.max(0, (x - low) / (high - low)));
}

/** Deviation of the start noise: the largest level, or that of signal plus noise for "leading". */
export function startSigma(sigmas: readonly number[], timestepSpacing: string): number {
  const top = Math.max(...sigmas);
  return timestepSpacing === 'leading' ? Math.sqrt(top ** 2 + 1) : top;
}

export const scaleBySigma = (sample: Float32Array, sigma: number): Float32Array =>
  sample.map((x) => x / Math.sqrt(sigma ** 2 + 1));

/** dx / dsigma = (x - x0) / sigma. */
export function slope(output: number, x: number, sigma: number, isVelocity: boolean): number {
  const x0 = isVelocity ? output * (-sigma / Math.sqrt(sigma ** 2 + 1)) + x / (sigma ** 2 + 1) : x - sigma * output;
  return (x - x0) / sigma;
}
