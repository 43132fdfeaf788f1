import type { OptionsSchema, Output } from '../../registry/schema.js';
import { denoised, derivative, moved } from './prediction.js';
import { SCHEDULERS, Scheduler, scheduleOf } from './scheduler.js';
import {
  finalSigmasOption,
  levelOptions,
  noiseOptions,
  predictionOption,
  spacingOptions,
  zeroSnrOption,
} from './shared-options.js';
import {
  checkLevels,
  evenLogarithms,
  levelsAt,
  levelsBy,
  scaleBySigma,
  spreadLevels,
  startSigma,
  trainedSigmas,
} from './sigmas.js';
import { spacedTimesteps } from './spaced-timesteps.js';

/** Karras et al., arXiv 2206.00364, algorithm 2 without churn. */
@SCHEDULERS.register('EulerDiscreteScheduler')
export class EulerDiscreteScheduler extends Scheduler {
  static readonly options = {
    description: 'Euler steps along the noise level.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...noiseOptions,
      ...zeroSnrOption,
      ...predictionOption,
      ...spacingOptions('linspace'),
      ...levelOptions,
      ...finalSigmasOption,
      interpolation_type: {
        type: 'string',
        enum: ['linear', 'log_linear'],
        default: 'linear',
        description:
          'noise levels of the timesteps: between the trained ones, or even in their logarithm over all of training',
      },
      timestep_type: {
        type: 'string',
        enum: ['discrete', 'continuous'],
        default: 'discrete',
        description: 'what the U-Net is told; continuous, with v_prediction: log(sigma) / 4',
      },
    },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  private sigmas: number[] = [];

  constructor(private readonly opts: Output<typeof EulerDiscreteScheduler.options>) {
    super();
    checkLevels(opts);
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  setTimesteps(steps: number): void {
    const { opts, trained } = this,
      spaced = spacedTimesteps(steps, opts, true),
      cleanest = trained[0];
    // diffusers takes one level more here than there are steps, and never steps to the last.
    const levels =
      opts.interpolation_type === 'linear'
        ? levelsAt(spaced, trained)
        : levelsBy(steps + 1, evenLogarithms(trained[trained.length - 1], cleanest), trained).sigmas;
    const spread = spreadLevels(steps, levels[0], levels[levels.length - 1], trained, opts);
    this.sigmas = [...(spread?.sigmas ?? levels), opts.final_sigmas_type === 'zero' ? 0 : cleanest];
    this.timesteps =
      opts.timestep_type === 'continuous' && opts.prediction_type === 'v_prediction'
        ? this.sigmas.slice(0, -1).map((sigma) => 0.25 * Math.log(sigma))
        : (spread?.timesteps ?? spaced);
    this.initNoiseSigma = startSigma(this.sigmas, opts.timestep_spacing);
  }

  override scaleModelInput(sample: Float32Array, index: number): Float32Array {
    return scaleBySigma(sample, this.sigmas[index]);
  }

  step(output: Float32Array, index: number, sample: Float32Array, _noise: () => Float32Array): Float32Array {
    const [sigma, next] = [this.sigmas[index], this.sigmas[index + 1]];
    const x0 = denoised(this.opts.prediction_type, output, sample, sigma);
    return moved(sample, derivative(sample, x0, sigma), next - sigma);
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    EulerDiscreteScheduler: typeof EulerDiscreteScheduler;
  }
}
