import { inject } from 'inversify';
import {
  SCHEDULERS,
  clipper,
  clipping,
  commonProperties,
  Scheduler,
  scheduleOf,
  spacedTimesteps,
  spacing,
  splitPrediction,
} from './scheduler.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import type { NoiseSchedule } from './noise-schedule.js';

/** Ho et al., arXiv 2006.11239, equations 6 and 7, with the smaller of the two fixed variances. */
@SCHEDULERS.register()
export class DDPMScheduler extends Scheduler {
  static readonly options = {
    description: 'Ancestral sampling of the training process.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...commonProperties,
      ...spacing('leading'),
      ...clipping,
      variance_type: {
        type: 'string',
        enum: ['fixed_small'],
        default: 'fixed_small',
        description: 'variance of the fresh noise',
      },
    },
  } as const satisfies OptionsSchema;
  private readonly schedule: NoiseSchedule;
  private ratio = 0;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof DDPMScheduler.options>) {
    super();
    this.schedule = scheduleOf(opts);
  }

  setTimesteps(steps: number): void {
    this.timesteps = spacedTimesteps(steps, this.opts);
    this.ratio = Math.floor(this.opts.num_train_timesteps / steps);
  }

  step(output: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): Float32Array {
    const t = this.timesteps[index],
      { alphasCumprod: alphas } = this.schedule;
    const a = alphas[t],
      previous = alphas[t - this.ratio] ?? 1,
      current = a / previous;
    const forX0 = (Math.sqrt(previous) * (1 - current)) / (1 - a),
      forX = (Math.sqrt(current) * (1 - previous)) / (1 - a);
    const deviation = Math.sqrt(Math.max(((1 - previous) / (1 - a)) * (1 - current), 1e-20)); // the clamp is diffusers'
    const fresh = t > 0 ? noise() : undefined;
    const clip = clipper(this.opts);
    return sample.map((x, i) => {
      const [x0] = splitPrediction(output[i], x, a, this.opts.prediction_type === 'v_prediction');
      return forX0 * clip(x0) + forX * x + (fresh ? deviation * fresh[i] : 0);
    });
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    DDPMScheduler: typeof DDPMScheduler;
  }
}
