import type { OptionsSchema, Output } from '../../registry/schema.js';
import type { NoiseSchedule } from './noise-schedule.js';
import { limited, noiseOf, pictureOf } from './prediction.js';
import { SCHEDULERS, Scheduler, checkStart, scheduleOf } from './scheduler.js';
import {
  clippingOptions,
  lastAlphaOption,
  noiseOptions,
  predictionOption,
  spacingOptions,
  thresholdingOptions,
  zeroSnrOption,
} from './shared-options.js';
import { spacedTimesteps } from './spaced-timesteps.js';

/** Song et al., arXiv 2010.02502, equation 12. */
@SCHEDULERS.register('DDIMScheduler')
export class DDIMScheduler extends Scheduler {
  static readonly options = {
    description: 'Denoising diffusion implicit models.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...noiseOptions,
      ...zeroSnrOption,
      ...predictionOption,
      ...spacingOptions('leading'),
      ...clippingOptions,
      ...thresholdingOptions,
      ...lastAlphaOption(true),
      eta: {
        type: 'number',
        minimum: 0,
        default: 0,
        description: 'share of fresh noise; 0 is deterministic, 1 like DDPM',
      },
    },
  } as const satisfies OptionsSchema;
  private readonly schedule: NoiseSchedule;
  private ratio = 0;

  constructor(private readonly opts: Output<typeof DDIMScheduler.options>) {
    super();
    this.schedule = scheduleOf(opts);
  }

  setTimesteps(steps: number): void {
    this.timesteps = spacedTimesteps(steps, this.opts);
    checkStart(this.schedule, this.timesteps, this.opts.prediction_type);
    this.ratio = Math.floor(this.opts.num_train_timesteps / steps);
  }

  step(output: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): Float32Array {
    const t = this.timesteps[index],
      { alphasCumprod: alphas } = this.schedule,
      { eta, prediction_type: kind } = this.opts;
    const a = alphas[t],
      previous = alphas[t - this.ratio] ?? (this.opts.set_alpha_to_one ? 1 : alphas[0]);
    const sigma = eta * Math.sqrt(((1 - previous) / (1 - a)) * (1 - a / previous));
    const fresh = eta > 0 ? noise() : undefined;
    const [forX0, forNoise] = [Math.sqrt(previous), Math.sqrt(1 - previous - sigma * sigma)];
    const [sa, sb] = [Math.sqrt(a), Math.sqrt(1 - a)];
    const x0 = limited(pictureOf(kind, output, sample, sa, sb), this.opts),
      eps = noiseOf(kind, output, sample, sa, sb);
    return sample.map((_, i) => forX0 * x0[i] + forNoise * eps[i] + (fresh ? sigma * fresh[i] : 0));
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    DDIMScheduler: typeof DDIMScheduler;
  }
}
