import type { OptionsSchema, Output } from '../../registry/schema.js';
import { denoised, derivative, limited, moved } from './prediction.js';
import { SCHEDULERS, Scheduler, scheduleOf } from './scheduler.js';
import {
  clippingOptions,
  levelOptions,
  predictionOption,
  spacingOptions,
  stableDiffusionBetas,
} from './shared-options.js';
import { checkLevels, scaleBySigma, sigmaPlan, startSigma, trainedSigmas } from './sigmas.js';

/** Karras et al., arXiv 2206.00364, algorithm 1: every step but the last is corrected at its end. */
@SCHEDULERS.register('HeunDiscreteScheduler')
export class HeunDiscreteScheduler extends Scheduler {
  static readonly options = {
    description: 'Heun steps along the noise level: second order, two evaluations per step.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...stableDiffusionBetas,
      beta_schedule: {
        ...stableDiffusionBetas.beta_schedule,
        enum: ['linear', 'scaled_linear', 'squaredcos_cap_v2', 'exp'],
      },
      ...predictionOption,
      ...spacingOptions('linspace'),
      ...clippingOptions,
      ...levelOptions,
    },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  /** one per step, and 0 */
  private sigmas: number[] = [];
  private begun: { sample: Float32Array; slope: Float32Array } | undefined;

  constructor(private readonly opts: Output<typeof HeunDiscreteScheduler.options>) {
    super();
    checkLevels(opts);
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  /** Every timestep but the first comes twice: as the end of a step and as the beginning of the next. */
  setTimesteps(steps: number): void {
    const { timesteps, sigmas } = sigmaPlan(steps, this.trained, this.opts);
    this.timesteps = [timesteps[0], ...timesteps.slice(1).flatMap((t) => [t, t])];
    this.sigmas = [...sigmas, 0];
    this.initNoiseSigma = startSigma(sigmas, this.opts.timestep_spacing);
    this.begun = undefined;
  }

  override scaleModelInput(sample: Float32Array, index: number): Float32Array {
    return scaleBySigma(sample, this.sigmas[Math.ceil(index / 2)]);
  }

  step(output: Float32Array, index: number, sample: Float32Array, _noise: () => Float32Array): Float32Array {
    const level = Math.ceil(index / 2),
      here = this.sigmas[level],
      { begun } = this;
    const x0 = limited(denoised(this.opts.prediction_type, output, sample, here), this.opts);
    const slope = derivative(sample, x0, here);
    if (index % 2 === 0 || !begun) {
      this.begun = { sample, slope };
      return moved(sample, slope, this.sigmas[level + 1] - here);
    }
    const mean = slope.map((d, i) => (d + begun.slope[i]) / 2);
    return moved(begun.sample, mean, here - this.sigmas[level - 1]);
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    HeunDiscreteScheduler: typeof HeunDiscreteScheduler;
  }
}
