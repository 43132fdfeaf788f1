import type { OptionsSchema, Output } from '../../registry/schema.js';
import { denoised, derivative, moved } from './prediction.js';
import { SCHEDULERS, Scheduler, scheduleOf } from './scheduler.js';
import { levelOptions, noiseOrVelocityOption, spacingOptions, stableDiffusionBetas } from './shared-options.js';
import {
  ancestral,
  checkLevels,
  midLevels,
  scaleBySigma,
  sigmaPlan,
  startSigma,
  trainedSigmas,
  type Ancestral,
} from './sigmas.js';

/** DPM-Solver-2 of Lu et al., arXiv 2206.00927, with the ancestral noise of k-diffusion. */
@SCHEDULERS.register('KDPM2AncestralDiscreteScheduler')
export class KDPM2AncestralDiscreteScheduler extends Scheduler {
  static readonly options = {
    description: 'DPM2 of k-diffusion with fresh noise at each step, two evaluations per step.',
    type: 'object',
    additionalProperties: false,
    properties: { ...stableDiffusionBetas, ...noiseOrVelocityOption, ...spacingOptions('linspace'), ...levelOptions },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  private sigmas: number[] = [];
  /** of each step but the last, which goes to 0 */
  private parts: Ancestral[] = [];
  private middles: number[] = [];
  private first: Float32Array = new Float32Array();

  constructor(private readonly opts: Output<typeof KDPM2AncestralDiscreteScheduler.options>) {
    super();
    checkLevels(opts);
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  /** Between the timesteps stand those of the middles of the steps without their noise. */
  setTimesteps(steps: number): void {
    const { timesteps, sigmas } = sigmaPlan(steps, this.trained, this.opts, true);
    this.sigmas = sigmas;
    this.parts = sigmas.slice(1).map((next, i) => ancestral(sigmas[i], next));
    const between = midLevels(
      sigmas.slice(0, -1),
      this.parts.map(({ down }) => down),
      this.trained,
    );
    this.middles = between.sigmas;
    this.timesteps = timesteps.flatMap((t, i) => (i === 0 ? [t] : [between.timesteps[i - 1], t]));
    this.initNoiseSigma = startSigma(sigmas, this.opts.timestep_spacing);
  }

  override scaleModelInput(sample: Float32Array, index: number): Float32Array {
    return scaleBySigma(sample, this.levelAt(index));
  }

  step(output: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): Float32Array {
    const step = Math.floor(index / 2),
      here = this.levelAt(index);
    const slope = derivative(sample, denoised(this.opts.prediction_type, output, sample, here), here);
    if (index % 2 === 0) {
      this.first = sample;
      return moved(sample, slope, (this.middles[step] ?? 0) - here);
    }
    const { up, down } = this.parts[step],
      fresh = noise();
    return moved(this.first, slope, down - this.sigmas[step]).map((x, i) => x + up * fresh[i]);
  }

  private levelAt(index: number): number {
    return (index % 2 === 0 ? this.sigmas : this.middles)[Math.floor(index / 2)];
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    KDPM2AncestralDiscreteScheduler: typeof KDPM2AncestralDiscreteScheduler;
  }
}
