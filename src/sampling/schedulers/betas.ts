/** The betas of a noise schedule, float32, rounded at the same places as diffusers. */
import { UserError } from '../../base/errors.js';
import { choiceOption, numberOption, type SchedulerConfig } from './scheduler-options.js';

const f32 = Math.fround;
const WHERE = 'scheduler_config.json';
/** A table is made of them; models have 1000. */
const MAX_TIMESTEPS = 1_000_000;

/** How beta may grow: the schedules of all of diffusers' classes. */
export const BETA_SCHEDULES = ['linear', 'scaled_linear', 'squaredcos_cap_v2', 'sigmoid', 'laplace', 'exp'] as const;

/** @returns one per training timestep @throws UserError on a value we cannot honour */
export function betasOf(config: SchedulerConfig): Float32Array {
  const betas = plainBetas(config);
  return config['rescale_betas_zero_snr'] ? zeroTerminalSnr(betas) : betas;
}

function plainBetas(config: SchedulerConfig): Float32Array {
  const n = numberOption(config, 'num_train_timesteps', 1000);
  if (!Number.isInteger(n) || n < 1 || n > MAX_TIMESTEPS)
    throw new UserError(`${WHERE}: num_train_timesteps is ${n}; it must be a whole number from 1 to ${MAX_TIMESTEPS}`);
  if (config['trained_betas'] != null) return trainedBetas(config['trained_betas'], n);
  const start = betaOption(config, 'beta_start', 1e-4),
    end = betaOption(config, 'beta_end', 0.02);
  switch (choiceOption(config, 'beta_schedule', BETA_SCHEDULES, 'linear')) {
    case 'linear':
      return linspaceFloat32(start, end, n);
    case 'scaled_linear':
      return linspaceFloat32(Math.sqrt(start), Math.sqrt(end), n).map((root) => root * root);
    case 'sigmoid':
      return linspaceFloat32(-6, 6, n).map((x) => f32(f32(1 / (1 + Math.exp(-x))) * f32(end - start)) + start);
    // Nichol and Dhariwal, "Improved denoising diffusion probabilistic models", arXiv 2102.09672, equation 17
    case 'squaredcos_cap_v2':
      return betasBelow(n, (t) => Math.cos(((t + 0.008) / 1.008) * (Math.PI / 2)) ** 2);
    case 'laplace': // Hang et al., "Improved noise schedule for diffusion training", arXiv 2407.03297
      return betasBelow(n, (t) => {
        const snr = Math.exp(-0.5 * (t > 0.5 ? -1 : 1) * Math.log(1 - 2 * Math.abs(0.5 - t) + 1e-6));
        return Math.sqrt(snr / (1 + snr));
      });
    case 'exp':
      return betasBelow(n, (t) => Math.exp(-12 * t));
  }
}

function betaOption(config: SchedulerConfig, key: string, fallback: number): number {
  const beta = numberOption(config, key, fallback);
  if (beta >= 0 && beta < 1) return beta;
  throw new UserError(
    `${WHERE}: ${key} is ${beta}; a beta is the share of noise that a timestep adds, from 0 to below 1`,
  );
}

function trainedBetas(given: unknown, n: number): Float32Array {
  const isBeta = (v: unknown): boolean => typeof v === 'number' && v >= 0 && v <= 1;
  if (!Array.isArray(given) || !given.every(isBeta))
    throw new UserError(`${WHERE}: trained_betas is ${shown(given)}; it must be a list of numbers from 0 to 1`);
  if (given.length !== n)
    throw new UserError(
      `${WHERE}: trained_betas has ${given.length} values and num_train_timesteps is ${n}; there must be one for each`,
    );
  return Float32Array.from(given as number[]);
}

const shown = (value: unknown): string => JSON.stringify(value).slice(0, 80);

/** Betas whose products of (1 - beta) follow a curve from t = 0 to 1, each at most 0.999. */
function betasBelow(n: number, alphaBar: (t: number) => number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => Math.min(1 - alphaBar((i + 1) / n) / alphaBar(i / n), 0.999));
}

/**
 * No signal is left at the last timestep: sqrt(alphas_cumprod) is shifted so that the last is 0 and scaled so that the
 * first stays; Lin et al., arXiv 2305.08891, algorithm 1.
 */
function zeroTerminalSnr(betas: Float32Array): Float32Array {
  const roots = alphasCumprodOf(betas).map((a) => Math.sqrt(a));
  const first = roots[0],
    last = roots[roots.length - 1],
    scale = f32(first / f32(first - last));
  const shares = roots.map((root) => f32(f32(root - last) * scale) ** 2);
  return shares.map((a, t) => 1 - f32(t === 0 ? a : a / shares[t - 1]));
}

/** Product of (1 - beta) up to each timestep. */
export function alphasCumprodOf(betas: Float32Array): Float32Array {
  let product = 1; // torch's cumprod on a CPU accumulates in double
  return betas.map((beta) => (product *= f32(1 - beta)));
}

/** torch.linspace in float32: from the nearer end, so that both ends are exact. */
export function linspaceFloat32(start: number, end: number, n: number): Float32Array {
  const first = f32(start),
    last = f32(end),
    step = n > 1 ? f32(f32(last - first) / f32(n - 1)) : 0;
  return Float32Array.from({ length: n }, (_, i) => (i < n / 2 ? first + step * i : last - step * (n - 1 - i)));
}
