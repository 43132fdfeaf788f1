import type { OptionsSchema, Output } from '../../registry/schema.js';
import type { NoiseSchedule } from './noise-schedule.js';
import { limited, pictureOf } from './prediction.js';
import { SCHEDULERS, Scheduler, checkStart, scheduleOf } from './scheduler.js';
import {
  clippingOptions,
  noiseOptions,
  predictionOption,
  spacingOptions,
  thresholdingOptions,
  zeroSnrOption,
} from './shared-options.js';
import { spacedTimesteps } from './spaced-timesteps.js';

/** Ho et al., arXiv 2006.11239, equations 6 and 7. */
@SCHEDULERS.register('DDPMScheduler')
export class DDPMScheduler extends Scheduler {
  static readonly options = {
    description: 'Ancestral sampling of the training process.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...noiseOptions,
      beta_schedule: {
        ...noiseOptions.beta_schedule,
        enum: ['linear', 'scaled_linear', 'squaredcos_cap_v2', 'sigmoid', 'laplace'],
      },
      ...zeroSnrOption,
      ...predictionOption,
      ...spacingOptions('leading'),
      ...clippingOptions,
      ...thresholdingOptions,
      variance_type: {
        type: 'string',
        enum: ['fixed_small', 'fixed_small_log', 'fixed_large'],
        default: 'fixed_small',
        description:
          'variance of the fresh noise: of the posterior (fixed_small, and the same by its logarithm), or beta (fixed_large); learned ones need a U-Net that predicts them',
      },
    },
  } as const satisfies OptionsSchema;
  private readonly schedule: NoiseSchedule;

  constructor(private readonly opts: Output<typeof DDPMScheduler.options>) {
    super();
    this.schedule = scheduleOf(opts);
  }

  setTimesteps(steps: number): void {
    this.timesteps = spacedTimesteps(steps, this.opts);
    checkStart(this.schedule, this.timesteps, this.opts.prediction_type);
  }

  step(output: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): Float32Array {
    const t = this.timesteps[index],
      { alphasCumprod: alphas } = this.schedule;
    const a = alphas[t],
      previous = alphas[this.timesteps[index + 1]] ?? 1,
      current = a / previous;
    const forX0 = (Math.sqrt(previous) * (1 - current)) / (1 - a),
      forX = (Math.sqrt(current) * (1 - previous)) / (1 - a);
    const small = Math.max(((1 - previous) / (1 - a)) * (1 - current), 1e-20); // the clamp is diffusers'
    const deviation = Math.sqrt(this.opts.variance_type === 'fixed_large' ? 1 - current : small);
    const fresh = t > 0 ? noise() : undefined;
    const x0 = limited(pictureOf(this.opts.prediction_type, output, sample, Math.sqrt(a), Math.sqrt(1 - a)), this.opts);
    return sample.map((x, i) => forX0 * x0[i] + forX * x + (fresh ? deviation * fresh[i] : 0));
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    DDPMScheduler: typeof DDPMScheduler;
  }
}
