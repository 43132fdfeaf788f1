import { inject } from 'inversify';
import {
  SCHEDULERS,
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

/** Weights of the latest predictions, newest first, by how many there are. */
const ADAMS_BASHFORTH = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]];

/** Liu et al., arXiv 2202.09778: equation 12 with the transfer of equation 9; without the Runge-Kutta start, as Stable Diffusion uses it. */
@SCHEDULERS.register()
export class PNDMScheduler extends Scheduler {
  static readonly options = {
    description: 'Pseudo linear multistep, the sampler that Stable Diffusion 1.x came with.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...commonProperties,
      ...spacing('leading'),
      set_alpha_to_one: {
        type: 'boolean',
        default: false,
        description: 'the step below timestep 0 is noise-free; false: it has the noise of timestep 0',
      },
      skip_prk_steps: {
        type: 'boolean',
        const: true,
        default: true,
        description: 'start with the multistep method; the Runge-Kutta start is not supported',
      },
    },
  } as const satisfies OptionsSchema;
  private readonly schedule: NoiseSchedule;
  private ratio = 0;
  private history: Float32Array[] = [];
  private first: Float32Array | undefined;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof PNDMScheduler.options>) {
    super();
    this.schedule = scheduleOf(opts);
  }

  /** One more than asked for: the second-noisiest timestep comes twice, a correction of the first step. */
  setTimesteps(steps: number): void {
    const plain = spacedTimesteps(steps, this.opts);
    this.timesteps = steps === 1 ? plain : [plain[0], plain[1], plain[1], ...plain.slice(2)];
    this.ratio = Math.floor(this.opts.num_train_timesteps / steps);
    this.history = [];
    this.first = undefined;
  }

  step(output: Float32Array, index: number, sample: Float32Array, _noise: () => Float32Array): Float32Array {
    const t = this.timesteps[index],
      history = this.history;
    if (index === 1) {
      // Heun's correction: from the first sample again, with the mean of both predictions.
      const before = history[history.length - 1];
      return this.transfer(
        this.first as Float32Array,
        output.map((e, i) => (e + before[i]) / 2),
        t + this.ratio,
        t,
      );
    }
    history.push(output);
    if (history.length > 4) history.shift();
    if (index === 0) this.first = sample;
    const weights = ADAMS_BASHFORTH[history.length - 1];
    const blend = output.map((_, i) => weights.reduce((sum, w, k) => sum + w * history[history.length - 1 - k][i], 0));
    return this.transfer(sample, blend, t, t - this.ratio);
  }

  private transfer(sample: Float32Array, output: Float32Array, from: number, to: number): Float32Array {
    const { alphasCumprod: alphas } = this.schedule;
    const a = alphas[from],
      b = alphas[to] ?? (this.opts.set_alpha_to_one ? 1 : alphas[0]);
    const forX = Math.sqrt(b / a),
      forNoise = (b - a) / (a * Math.sqrt(1 - b) + Math.sqrt(a * (1 - a) * b));
    const isVelocity = this.opts.prediction_type === 'v_prediction';
    return sample.map((x, i) => forX * x - forNoise * splitPrediction(output[i], x, a, isVelocity)[1]);
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    PNDMScheduler: typeof PNDMScheduler;
  }
}
