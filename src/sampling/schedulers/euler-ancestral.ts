import { inject } from 'inversify';
import { SCHEDULERS, commonProperties, Scheduler, scheduleOf, spacedTimesteps, spacing } from './scheduler.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { scaleBySigma, sigmaPlan, slope, startSigma, trainedSigmas } from './sigmas.js';

/** Ancestral sampling of k-diffusion (Katherine Crowson), on the noise levels of Karras et al., arXiv 2206.00364. */
@SCHEDULERS.register()
export class EulerAncestralDiscreteScheduler extends Scheduler {
  static readonly options = {
    description: 'Euler steps with fresh noise at each.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...commonProperties,
      ...spacing('linspace'),
    },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  private sigmas: number[] = [];

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof EulerAncestralDiscreteScheduler.options>) {
    super();
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  setTimesteps(steps: number): void {
    const plan = sigmaPlan(spacedTimesteps(steps, this.opts, true), this.trained);
    this.timesteps = plan.timesteps;
    this.sigmas = [...plan.sigmas, 0];
    this.initNoiseSigma = startSigma(this.sigmas, this.opts.timestep_spacing);
  }

  override scaleModelInput(sample: Float32Array, index: number): Float32Array {
    return scaleBySigma(sample, this.sigmas[index]);
  }

  step(output: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): Float32Array {
    const [sigma, next] = [this.sigmas[index], this.sigmas[index + 1]];
    const up = Math.sqrt((next ** 2 * (sigma ** 2 - next ** 2)) / sigma ** 2),
      down = Math.sqrt(next ** 2 - up ** 2);
    const isVelocity = this.opts.prediction_type === 'v_prediction',
      fresh = noise();
    return sample.map((x, i) => x + slope(output[i], x, sigma, isVelocity) * (down - sigma) + fresh[i] * up);
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    EulerAncestralDiscreteScheduler: typeof EulerAncestralDiscreteScheduler;
  }
}
