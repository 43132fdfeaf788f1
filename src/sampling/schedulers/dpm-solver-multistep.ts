import { inject } from 'inversify';
import {
  SCHEDULERS,
  checkSteps,
  commonProperties,
  roundHalfEven,
  Scheduler,
  scheduleOf,
  spacedTimesteps,
  spacing,
} from './scheduler.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { karrasPlan, sigmaPlan, trainedSigmas } from './sigmas.js';

/** Lu et al., arXiv 2211.01095, algorithm 2. */
@SCHEDULERS.register()
export class DPMSolverMultistepScheduler extends Scheduler {
  static readonly options = {
    description: 'DPM-Solver++(2M): second-order multistep, good pictures in 20 steps.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...commonProperties,
      ...spacing('linspace'),
      solver_order: {
        type: 'integer',
        minimum: 1,
        maximum: 2,
        default: 2,
        description: 'order of the multistep method',
      },
      algorithm_type: {
        type: 'string',
        enum: ['dpmsolver++'],
        default: 'dpmsolver++',
        description: 'predicts the picture, not the noise',
      },
      solver_type: {
        type: 'string',
        enum: ['midpoint'],
        default: 'midpoint',
        description: 'form of the second-order term',
      },
      lower_order_final: { type: 'boolean', default: true, description: 'last of fewer than 15 steps at first order' },
      euler_at_final: { type: 'boolean', default: false, description: 'last step always at first order' },
      final_sigmas_type: {
        type: 'string',
        enum: ['zero', 'sigma_min'],
        default: 'zero',
        description: 'noise level after the last step',
      },
      use_karras_sigmas: { type: 'boolean', default: false, description: 'noise levels of Karras et al., equation 5' },
    },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  private sigmas: number[] = [];
  private before: Float32Array | undefined;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof DPMSolverMultistepScheduler.options>) {
    super();
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  setTimesteps(steps: number): void {
    const { timestep_spacing: kind, use_karras_sigmas: karras, final_sigmas_type: final } = this.opts;
    // "linspace" and "leading" spread one point more and leave out the cleanest.
    const more = kind === 'trailing' ? 0 : 1;
    checkSteps(steps, this.opts.num_train_timesteps - more);
    const spread = spacedTimesteps(steps + more, this.opts).slice(0, steps);
    // diffusers spans Karras' levels over all of training here, over the chosen timesteps in its Euler sampler.
    const plan = karras
      ? karrasPlan(steps, this.trained[this.trained.length - 1], this.trained[0], this.trained)
      : sigmaPlan(spread, this.trained);
    this.timesteps = plan.timesteps.map(roundHalfEven);
    this.sigmas = [...plan.sigmas, final === 'zero' ? 0 : this.trained[0]];
    this.before = undefined;
  }

  step(output: Float32Array, index: number, sample: Float32Array, _noise: () => Float32Array): Float32Array {
    const [here, next] = [this.level(index), this.level(index + 1)];
    const isVelocity = this.opts.prediction_type === 'v_prediction';
    const x0 = sample.map((x, i) =>
      isVelocity ? here.alpha * x - here.sigma * output[i] : (x - here.sigma * output[i]) / here.alpha,
    );
    const h = next.lambda - here.lambda,
      decay = Math.exp(-h) - 1;
    const keep = next.sigma / here.sigma,
      last = this.before;
    this.before = x0;
    if (!last || this.opts.solver_order === 1 || this.endsAtFirstOrder(index))
      return sample.map((x, i) => keep * x - next.alpha * decay * x0[i]);
    const r = (here.lambda - this.level(index - 1).lambda) / h;
    return sample.map((x, i) => keep * x - next.alpha * decay * (x0[i] + (0.5 * (x0[i] - last[i])) / r));
  }

  private endsAtFirstOrder(index: number): boolean {
    const { euler_at_final: always, lower_order_final: lower, final_sigmas_type: final } = this.opts;
    return index === this.timesteps.length - 1 && (always || (lower && this.timesteps.length < 15) || final === 'zero');
  }

  /** alpha and sigma with alpha^2 + sigma^2 = 1, lambda = log(alpha / sigma). */
  private level(index: number): { alpha: number; sigma: number; lambda: number } {
    const alpha = 1 / Math.sqrt(this.sigmas[index] ** 2 + 1),
      sigma = this.sigmas[index] * alpha;
    return { alpha, sigma, lambda: Math.log(alpha) - Math.log(sigma) };
  }
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    DPMSolverMultistepScheduler: typeof DPMSolverMultistepScheduler;
  }
}
