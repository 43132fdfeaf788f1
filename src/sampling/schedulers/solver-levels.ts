/** Noise levels as the solvers in log-SNR time count them: DPM-Solver (Lu et al., arXiv 2206.00927, section 3), UniPC, DEIS. */
import { levelsAt, spreadLevels, type LevelOptions, type SigmaPlan } from './sigmas.js';
import { roundHalfEven } from './spaced-timesteps.js';

/** alpha and sigma with alpha^2 + sigma^2 = 1, lambda = log(alpha / sigma), infinite without noise. */
export interface Level {
  readonly alpha: number;
  readonly sigma: number;
  readonly lambda: number;
}

/** @param ratio sigma / alpha, which is how k-diffusion counts noise */
export function levelOf(ratio: number): Level {
  const alpha = 1 / Math.sqrt(ratio ** 2 + 1),
    sigma = ratio * alpha;
  return { alpha, sigma, lambda: Math.log(alpha) - Math.log(sigma) };
}

/**
 * Levels of the chosen timesteps, or spread over all of training as `levelOptions` ask; the U-Net is told whole timesteps.
 * @param spaced the timesteps where nothing else is asked
 * @param roundKarras Karras' timesteps are rounded, as they are by diffusers unless a class says otherwise; others are cut
 */
export function solverPlan(
  steps: number,
  spaced: () => readonly number[],
  trained: readonly number[],
  opts: LevelOptions,
  roundKarras = true,
): SigmaPlan & { readonly spread: boolean } {
  const spread = spreadLevels(steps, trained[trained.length - 1], trained[0], trained, opts);
  if (spread) {
    const whole = opts.use_karras_sigmas && roundKarras ? roundHalfEven : Math.trunc;
    return { ...spread, timesteps: spread.timesteps.map(whole), spread: true };
  }
  const timesteps = [...spaced()];
  return { timesteps, sigmas: levelsAt(timesteps, trained), spread: false };
}
