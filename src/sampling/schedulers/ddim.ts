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

/** Song et al., arXiv 2010.02502, equation 12. */
@SCHEDULERS.register()
export class DDIMScheduler extends Scheduler {
  static readonly options = {
    description: 'Denoising diffusion implicit models.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...commonProperties,
      ...spacing('leading'),
      ...clipping,
      set_alpha_to_one: {
        type: 'boolean',
        default: true,
        description: 'the step below timestep 0 is noise-free; false: it has the noise of timestep 0',
      },
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

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof DDIMScheduler.options>) {
    super();
    this.schedule = scheduleOf(opts);
  }

  setTimesteps(steps: number): void {
    this.timesteps = spacedTimesteps(steps, this.opts);
    this.ratio = Math.floor(this.opts.num_train_timesteps / steps);
  }

  step(output: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): Float32Array {
    const t = this.timesteps[index],
      { alphasCumprod: alphas } = this.schedule,
      { eta } = this.opts;
    const a = alphas[t],
      previous = alphas[t - this.ratio] ?? (this.opts.set_alpha_to_one ? 1 : alphas[0]);
    const sigma = eta * Math.sqrt(((1 - previous) / (1 - a)) * (1 - a / previous));
    const fresh = eta > 0 ? noise() : undefined;
    const [forX0, forNoise] = [Math.sqrt(previous), Math.sqrt(1 - previous - sigma * sigma)];
    const clip = clipper(this.opts);
    return sample.map((x, i) => {
      const [x0, eps] = splitPrediction(output[i], x, a, this.opts.prediction_type === 'v_prediction');
      return forX0 * clip(x0) + forNoise * eps + (fresh ? sigma * fresh[i] : 0);
    });
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    DDIMScheduler: typeof DDIMScheduler;
  }
}
