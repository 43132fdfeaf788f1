/** Samplers: how noise becomes a picture in few steps. Names and numbers as diffusers. */
import { Registry } from '../../registry/registry.js';
import { UserError } from '../../base/errors.js';
import { NoiseSchedule } from './noise-schedule.js';

export abstract class Scheduler {
  /** From the noisiest; what the U-Net is told. Set by `setTimesteps`; some methods visit one twice, so this may be longer than asked. */
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

/** The noise schedule of a class's options; what a class has no option for is as without it. */
export const scheduleOf = (options: object): NoiseSchedule => new NoiseSchedule({ ...options });

/**
 * Noise prediction says nothing of the picture where none of it is left.
 * @throws UserError when a plan of such a model begins there
 */
export function checkStart(
  { alphasCumprod }: NoiseSchedule,
  timesteps: readonly number[],
  predictionType: string,
): void {
  const blind = timesteps.find((t) => alphasCumprod[t] === 0);
  if (predictionType === 'epsilon' && blind !== undefined)
    throw new UserError(
      `prediction_type: "epsilon" cannot start from timestep ${blind}, where rescale_betas_zero_snr leaves nothing of the picture; such models predict "v_prediction"`,
    );
}

export const SCHEDULERS = new Registry<Scheduler>('SCHEDULERS', 'scheduler');
