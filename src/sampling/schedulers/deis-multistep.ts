import type { OptionsSchema, Output } from '../../registry/schema.js';
import { limited, noiseOf, pictureOf } from './prediction.js';
import { SCHEDULERS, Scheduler, scheduleOf } from './scheduler.js';
import {
  flowOptions,
  levelOptions,
  noiseOptions,
  predictionOption,
  solverOrderOption,
  spacingOptions,
  thresholdingOptions,
} from './shared-options.js';
import { checkLevels, trainedSigmas } from './sigmas.js';
import { levelOf, solverPlan } from './solver-levels.js';
import { solverTimesteps } from './spaced-timesteps.js';

/** Fewer steps than this end at lower order, for stability; as diffusers. */
const FEW_STEPS = 15;

/** Zhang and Chen, "Fast sampling of diffusion models with exponential integrator", arXiv 2204.13902: log-rho multistep. */
@SCHEDULERS.register('DEISMultistepScheduler')
export class DEISMultistepScheduler extends Scheduler {
  static readonly options = {
    description: 'DEIS: the noise as a polynomial in log sigma, integrated over each step.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...noiseOptions,
      ...predictionOption,
      ...spacingOptions('linspace'),
      ...thresholdingOptions,
      ...solverOrderOption,
      algorithm_type: {
        type: 'string',
        enum: ['deis', 'dpmsolver', 'dpmsolver++'],
        default: 'deis',
        description: 'deis; the others, of DPM-Solver, stand for it',
      },
      solver_type: {
        type: 'string',
        enum: ['logrho', 'midpoint', 'heun', 'bh1', 'bh2'],
        default: 'logrho',
        description: 'logrho; the others, of other solvers, stand for it',
      },
      lower_order_final: {
        type: 'boolean',
        default: true,
        description: 'the last of fewer than 15 steps at lower order',
      },
      ...levelOptions,
      ...flowOptions,
    },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  /** sigma / alpha at each step and after the last */
  private ratios: number[] = [];
  /** latest first */
  private history: Float32Array[] = [];

  constructor(private readonly opts: Output<typeof DEISMultistepScheduler.options>) {
    super();
    checkLevels(opts);
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  setTimesteps(steps: number): void {
    const spaced = solverTimesteps(steps, this.opts),
      plan = solverPlan(steps, () => spaced, this.trained, this.opts);
    this.timesteps = plan.timesteps;
    this.ratios = [...plan.sigmas, plan.spread ? plan.sigmas[plan.sigmas.length - 1] : this.trained[0]];
    this.history = [];
  }

  step(output: Float32Array, index: number, sample: Float32Array, _noise: () => Float32Array): Float32Array {
    const { opts, ratios } = this,
      { alpha, sigma } = levelOf(ratios[index]);
    const x0 = limited(pictureOf(opts.prediction_type, output, sample, alpha, sigma), opts);
    this.history = [noiseOf('sample', x0, sample, alpha, sigma), ...this.history].slice(0, opts.solver_order);
    const order = Math.min(this.history.length, this.orderAt(index)),
      used = this.history.slice(0, order),
      logs = used.map((_, k) => Math.log(ratios[index - k]));
    const shares = logs.map((_, k) => basisIntegral(logs, k, ratios[index], ratios[index + 1]));
    const next = levelOf(ratios[index + 1]).alpha;
    return sample.map((x, i) => next * used.reduce((sum, eps, k) => sum + shares[k] * eps[i], x / alpha));
  }

  private orderAt(index: number): number {
    const few = this.opts.lower_order_final && this.timesteps.length < FEW_STEPS;
    return few ? this.timesteps.length - index : this.opts.solver_order;
  }
}

/**
 * Integral from rho = a to b of the polynomial in log rho that is 1 at the k-th of the given logs and 0 at the others;
 * closed, for the integral of log(rho)^m is rho times a polynomial in log rho.
 */
function basisIntegral(logs: readonly number[], k: number, a: number, b: number): number {
  const origin = Math.log(a),
    others = logs.filter((_, j) => j !== k).map((log) => log - origin);
  const scale = others.reduce((product, other) => product * (logs[k] - origin - other), 1);
  const [p = 0, q = 0] = others;
  // The polynomial c0 + c1 u + c2 u^2 with u = log(rho / a).
  const [c0, c1, c2] = others.length === 0 ? [1, 0, 0] : others.length === 1 ? [-p, 1, 0] : [p * q, -p - q, 1];
  const whole = (rho: number): number => {
    const u = Math.log(rho) - origin;
    return rho * (c0 + c1 * (u - 1) + c2 * (u * u - 2 * u + 2));
  };
  return (whole(b) - whole(a)) / scale;
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    DEISMultistepScheduler: typeof DEISMultistepScheduler;
  }
}
