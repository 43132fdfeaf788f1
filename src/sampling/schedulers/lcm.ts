import { UserError } from '../../base/errors.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import type { NoiseSchedule } from './noise-schedule.js';
import { limited, pictureOf } from './prediction.js';
import { SCHEDULERS, Scheduler, checkStart, scheduleOf } from './scheduler.js';
import {
  clippingOptions,
  lastAlphaOption,
  predictionOption,
  spacingOptions,
  stableDiffusionBetas,
  thresholdingOptions,
  zeroSnrOption,
} from './shared-options.js';
import { checkSteps } from './spaced-timesteps.js';

/** Deviation of the data in the boundary conditions; Song et al., arXiv 2303.01469, appendix C. */
const SIGMA_DATA = 0.5;

/** Luo et al., "Latent consistency models", arXiv 2310.04378, algorithm 3. */
@SCHEDULERS.register('LCMScheduler')
export class LCMScheduler extends Scheduler {
  static readonly options = {
    description: 'Latent consistency: 1 to 8 steps, for models that were distilled for it.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...stableDiffusionBetas,
      beta_schedule: { ...stableDiffusionBetas.beta_schedule, default: 'scaled_linear' },
      ...zeroSnrOption,
      ...predictionOption,
      ...spacingOptions('leading'),
      ...clippingOptions,
      ...thresholdingOptions,
      ...lastAlphaOption(true),
      original_inference_steps: {
        type: 'integer',
        minimum: 1,
        default: 50,
        description: 'steps of the distillation, of which those of sampling are a part',
      },
      timestep_scaling: {
        type: 'number',
        default: 10,
        description: 'factor of the timestep in the boundary conditions',
      },
    },
  } as const satisfies OptionsSchema;
  private readonly schedule: NoiseSchedule;

  constructor(private readonly opts: Output<typeof LCMScheduler.options>) {
    super();
    const { original_inference_steps: original, num_train_timesteps: total } = opts;
    if (original > total)
      throw new UserError(
        `original_inference_steps: ${original} is more than num_train_timesteps, which is ${total}; lower it`,
      );
    this.schedule = scheduleOf(opts);
  }

  setTimesteps(steps: number): void {
    const { original_inference_steps: original, num_train_timesteps: total } = this.opts;
    if (steps > original)
      throw new UserError(
        `steps: ${steps}; LCMScheduler takes 1 to ${original}, the original_inference_steps of the distillation`,
      );
    checkSteps(steps, original);
    const distance = Math.floor(total / original);
    this.timesteps = Array.from(
      { length: steps },
      (_, i) => (original - Math.floor(i * (original / steps))) * distance - 1,
    );
    checkStart(this.schedule, this.timesteps, this.opts.prediction_type);
  }

  step(output: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): Float32Array {
    const { timesteps, opts } = this,
      { alphasCumprod: alphas } = this.schedule,
      t = timesteps[index];
    const x0 = limited(
      pictureOf(opts.prediction_type, output, sample, Math.sqrt(alphas[t]), Math.sqrt(1 - alphas[t])),
      opts,
    );
    const scaled = t * opts.timestep_scaling,
      spread = scaled ** 2 + SIGMA_DATA ** 2;
    const [skip, out] = [SIGMA_DATA ** 2 / spread, scaled / Math.sqrt(spread)];
    const picture = sample.map((x, i) => out * x0[i] + skip * x);
    if (index === timesteps.length - 1) return picture;
    const next = alphas[timesteps[index + 1]],
      fresh = noise();
    return picture.map((v, i) => Math.sqrt(next) * v + Math.sqrt(1 - next) * fresh[i]);
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    LCMScheduler: typeof LCMScheduler;
  }
}
