import { UserError } from '../../base/errors.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import type { NoiseSchedule } from './noise-schedule.js';
import { noiseOf } from './prediction.js';
import { SCHEDULERS, Scheduler, scheduleOf } from './scheduler.js';
import { lastAlphaOption, noiseOptions, noiseOrVelocityOption, spacingOptions } from './shared-options.js';
import { spacedTimesteps } from './spaced-timesteps.js';

/** Weights of the latest predictions, newest first, by how many there are. */
const ADAMS_BASHFORTH = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]];
/** Weights of the four predictions of a Runge-Kutta step. */
const RUNGE_KUTTA = [1 / 6, 1 / 3, 1 / 3, 1 / 6];
/** Steps that the multistep method needs before it: three of Runge-Kutta, between four timesteps. */
const START = 4;

/** Liu et al., arXiv 2202.09778: equation 12 with the transfer of equation 9; as Stable Diffusion uses it, without the Runge-Kutta start. */
@SCHEDULERS.register('PNDMScheduler')
export class PNDMScheduler extends Scheduler {
  static readonly options = {
    description: 'Pseudo linear multistep, the sampler that Stable Diffusion 1.x came with.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...noiseOptions,
      ...noiseOrVelocityOption,
      ...spacingOptions('leading'),
      ...lastAlphaOption(false),
      skip_prk_steps: {
        type: 'boolean',
        default: false,
        description: 'start with the multistep method, not with three Runge-Kutta steps of four evaluations each',
      },
    },
  } as const satisfies OptionsSchema;
  private readonly schedule: NoiseSchedule;
  private ratio = 0;
  private history: Float32Array[] = [];
  /** sample at the beginning of the step that takes several evaluations */
  private first: Float32Array = new Float32Array();
  /** weighted sum of the evaluations of a Runge-Kutta step so far */
  private blend: Float32Array = new Float32Array();
  private startEvaluations = 0;

  constructor(private readonly opts: Output<typeof PNDMScheduler.options>) {
    super();
    this.schedule = scheduleOf(opts);
  }

  /** More than asked for: without Runge-Kutta the second-noisiest timestep comes twice, a correction of the first step. */
  setTimesteps(steps: number): void {
    const plain = spacedTimesteps(steps, this.opts);
    this.ratio = Math.floor(this.opts.num_train_timesteps / steps);
    this.history = [];
    const start = this.opts.skip_prk_steps ? [] : this.rungeKuttaTimesteps(plain);
    this.startEvaluations = start.length;
    if (!this.opts.skip_prk_steps) this.timesteps = [...start, ...plain.slice(START - 1)];
    else this.timesteps = steps === 1 ? plain : [plain[0], plain[1], plain[1], ...plain.slice(2)];
  }

  step(output: Float32Array, index: number, sample: Float32Array, _noise: () => Float32Array): Float32Array {
    if (index < this.startEvaluations) return this.rungeKutta(output, index, sample);
    const t = this.timesteps[index],
      history = this.history;
    if (index === 1) {
      // Heun's correction: from the first sample again, with the mean of both predictions.
      const before = history[history.length - 1];
      return this.transfer(
        this.first,
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

  /** Four evaluations per step, from one timestep to the next: at its beginning, twice in its middle, at its end. */
  private rungeKuttaTimesteps(plain: readonly number[]): number[] {
    if (plain.length < START)
      throw new UserError(
        `steps: ${plain.length}; PNDMScheduler needs at least ${START} unless skip_prk_steps is true`,
      );
    const half = Math.floor(this.ratio / 2);
    return [0, 1, 2].flatMap((i) => [plain[i], plain[i + 1] + half, plain[i + 1] + half, plain[i + 1]]);
  }

  private rungeKutta(output: Float32Array, index: number, sample: Float32Array): Float32Array {
    const part = index % 4,
      from = this.timesteps[index - part],
      half = index % 2 === 1 ? 0 : Math.floor(this.ratio / 2);
    if (part === 0) {
      this.first = sample;
      this.history.push(output);
      this.blend = new Float32Array(sample.length);
    }
    this.blend = this.blend.map((sum, i) => sum + RUNGE_KUTTA[part] * output[i]);
    return this.transfer(this.first, part === 3 ? this.blend : output, from, this.timesteps[index] - half);
  }

  private transfer(sample: Float32Array, output: Float32Array, from: number, to: number): Float32Array {
    const { alphasCumprod: alphas } = this.schedule;
    const a = alphas[from],
      b = alphas[to] ?? (this.opts.set_alpha_to_one ? 1 : alphas[0]);
    const forX = Math.sqrt(b / a),
      forNoise = (b - a) / (a * Math.sqrt(1 - b) + Math.sqrt(a * (1 - a) * b));
    const eps = noiseOf(this.opts.prediction_type, output, sample, Math.sqrt(a), Math.sqrt(1 - a));
    return sample.map((x, i) => forX * x - forNoise * eps[i]);
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    PNDMScheduler: typeof PNDMScheduler;
  }
}
