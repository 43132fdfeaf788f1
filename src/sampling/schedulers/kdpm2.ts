import type { OptionsSchema, Output } from '../../registry/schema.js';
import { denoised, derivative, moved } from './prediction.js';
import { SCHEDULERS, Scheduler, scheduleOf } from './scheduler.js';
import { levelOptions, noiseOrVelocityOption, spacingOptions, stableDiffusionBetas } from './shared-options.js';
import { checkLevels, midLevels, scaleBySigma, sigmaPlan, startSigma, trainedSigmas } from './sigmas.js';

/** DPM-Solver-2 of Lu et al., arXiv 2206.00927, in the form of k-diffusion, on levels of Karras et al., arXiv 2206.00364. */
@SCHEDULERS.register('KDPM2DiscreteScheduler')
export class KDPM2DiscreteScheduler extends Scheduler {
  static readonly options = {
    description: 'DPM2 of k-diffusion: each step goes by the slope at its middle, two evaluations per step.',
    type: 'object',
    additionalProperties: false,
    properties: { ...stableDiffusionBetas, ...noiseOrVelocityOption, ...spacingOptions('linspace'), ...levelOptions },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  /** one per step, and 0 */
  private sigmas: number[] = [];
  /** in the middle of each step; the last step has none and goes to 0 */
  private middles: number[] = [];
  private first: Float32Array = new Float32Array();

  constructor(private readonly opts: Output<typeof KDPM2DiscreteScheduler.options>) {
    super();
    checkLevels(opts);
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  /** Between the timesteps stand those of the middles. */
  setTimesteps(steps: number): void {
    const { timesteps, sigmas } = sigmaPlan(steps, this.trained, this.opts, true);
    const between = midLevels(sigmas.slice(0, -1), sigmas.slice(1), this.trained);
    this.sigmas = [...sigmas, 0];
    this.middles = between.sigmas;
    this.timesteps = timesteps.flatMap((t, i) => (i === 0 ? [t] : [between.timesteps[i - 1], t]));
    this.initNoiseSigma = startSigma(sigmas, this.opts.timestep_spacing);
  }

  override scaleModelInput(sample: Float32Array, index: number): Float32Array {
    return scaleBySigma(sample, this.levelAt(index));
  }

  step(output: Float32Array, index: number, sample: Float32Array, _noise: () => Float32Array): Float32Array {
    const step = Math.floor(index / 2),
      here = this.levelAt(index);
    const slope = derivative(sample, denoised(this.opts.prediction_type, output, sample, here), here);
    if (index % 2 === 1) return moved(this.first, slope, this.sigmas[step + 1] - this.sigmas[step]);
    this.first = sample;
    return moved(sample, slope, (this.middles[step] ?? 0) - here);
  }

  private levelAt(index: number): number {
    return (index % 2 === 0 ? this.sigmas : this.middles)[Math.floor(index / 2)];
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    KDPM2DiscreteScheduler: typeof KDPM2DiscreteScheduler;
  }
}
