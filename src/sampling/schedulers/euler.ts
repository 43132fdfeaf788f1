import { inject } from 'inversify';
import { SCHEDULERS, commonProperties, Scheduler, scheduleOf, spacedTimesteps, spacing } from './scheduler.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { karrasPlan, scaleBySigma, sigmaPlan, slope, startSigma, trainedSigmas } from './sigmas.js';

/** Karras et al., arXiv 2206.00364, algorithm 2 without churn. */
@SCHEDULERS.register()
export class EulerDiscreteScheduler extends Scheduler {
  static readonly options = {
    description: 'Euler steps along the noise level.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...commonProperties,
      ...spacing('linspace'),
      interpolation_type: {
        type: 'string',
        enum: ['linear'],
        default: 'linear',
        description: 'how noise levels between whole timesteps are found',
      },
      timestep_type: { type: 'string', enum: ['discrete'], default: 'discrete', description: 'what the U-Net is told' },
      use_karras_sigmas: { type: 'boolean', default: false, description: 'noise levels of Karras et al., equation 5' },
    },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  private sigmas: number[] = [];

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof EulerDiscreteScheduler.options>) {
    super();
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  setTimesteps(steps: number): void {
    const spaced = sigmaPlan(spacedTimesteps(steps, this.opts, true), this.trained);
    const plan = this.opts.use_karras_sigmas
      ? karrasPlan(steps, spaced.sigmas[0], spaced.sigmas[steps - 1], this.trained)
      : spaced;
    this.timesteps = plan.timesteps;
    this.sigmas = [...plan.sigmas, 0];
    this.initNoiseSigma = startSigma(this.sigmas, this.opts.timestep_spacing);
  }

  override scaleModelInput(sample: Float32Array, index: number): Float32Array {
    return scaleBySigma(sample, this.sigmas[index]);
  }

  step(output: Float32Array, index: number, sample: Float32Array, _noise: () => Float32Array): Float32Array {
    const [sigma, next] = [this.sigmas[index], this.sigmas[index + 1]];
    const isVelocity = this.opts.prediction_type === 'v_prediction';
    return sample.map((x, i) => x + slope(output[i], x, sigma, isVelocity) * (next - sigma));
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    EulerDiscreteScheduler: typeof EulerDiscreteScheduler;
  }
}
