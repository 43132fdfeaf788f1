import type { OptionsSchema, Output } from '../../registry/schema.js';
import { denoised, derivative, moved } from './prediction.js';
import { SCHEDULERS, Scheduler, scheduleOf } from './scheduler.js';
import { noiseOptions, noiseOrVelocityOption, spacingOptions, zeroSnrOption } from './shared-options.js';
import { ancestral, levelsAt, scaleBySigma, startSigma, trainedSigmas } from './sigmas.js';
import { spacedTimesteps } from './spaced-timesteps.js';

/** Ancestral sampling of k-diffusion (Katherine Crowson), on the noise levels of Karras et al., arXiv 2206.00364. */
@SCHEDULERS.register('EulerAncestralDiscreteScheduler')
export class EulerAncestralDiscreteScheduler extends Scheduler {
  static readonly options = {
    description: 'Euler steps with fresh noise at each.',
    type: 'object',
    additionalProperties: false,
    properties: { ...noiseOptions, ...zeroSnrOption, ...noiseOrVelocityOption, ...spacingOptions('linspace') },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  private sigmas: number[] = [];

  constructor(private readonly opts: Output<typeof EulerAncestralDiscreteScheduler.options>) {
    super();
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  setTimesteps(steps: number): void {
    this.timesteps = spacedTimesteps(steps, this.opts, true);
    this.sigmas = [...levelsAt(this.timesteps, this.trained), 0];
    this.initNoiseSigma = startSigma(this.sigmas, this.opts.timestep_spacing);
  }

  override scaleModelInput(sample: Float32Array, index: number): Float32Array {
    return scaleBySigma(sample, this.sigmas[index]);
  }

  step(output: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): Float32Array {
    const [sigma, next] = [this.sigmas[index], this.sigmas[index + 1]];
    const { up, down } = ancestral(sigma, next);
    const x0 = denoised(this.opts.prediction_type, output, sample, sigma),
      fresh = noise();
    return moved(sample, derivative(sample, x0, sigma), down - sigma).map((x, i) => x + fresh[i] * up);
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    EulerAncestralDiscreteScheduler: typeof EulerAncestralDiscreteScheduler;
  }
}
