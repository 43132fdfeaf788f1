import type { OptionsSchema, Output } from '../../registry/schema.js';
import { checkDpm, clippedTop, dpmOptions, dpmUpdate, extrapolated, isStochastic } from './dpm-update.js';
import { SCHEDULERS, Scheduler, scheduleOf } from './scheduler.js';
import {
  finalSigmasOption,
  flowOptions,
  levelOptions,
  noiseOptions,
  predictionOption,
  solverOrderOption,
} from './shared-options.js';
import { checkLevels, trainedSigmas } from './sigmas.js';
import { levelOf, solverPlan, type Level } from './solver-levels.js';
import { solverTimesteps } from './spaced-timesteps.js';

/** Lu et al., arXiv 2206.00927, algorithms 1 and 2, and arXiv 2211.01095: steps of several evaluations, all from the sample at their beginning. */
@SCHEDULERS.register('DPMSolverSinglestepScheduler')
export class DPMSolverSinglestepScheduler extends Scheduler {
  static readonly options = {
    description:
      'DPM-Solver++(2S) and its relatives: evaluations are spent inside a step, not taken from earlier ones.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...noiseOptions,
      ...predictionOption,
      ...solverOrderOption,
      ...dpmOptions,
      algorithm_type: {
        ...dpmOptions.algorithm_type,
        enum: ['dpmsolver++', 'dpmsolver', 'sde-dpmsolver++', 'deis'],
      },
      lower_order_final: {
        type: 'boolean',
        default: false,
        description:
          'the last steps at lower order; always with final_sigmas_type "zero", or when solver_order does not divide the number of steps',
      },
      ...finalSigmasOption,
      ...levelOptions,
      ...flowOptions,
    },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  private levels: Level[] = [];
  private orders: number[] = [];
  /** latest first */
  private history: Float32Array[] = [];
  private first: Float32Array = new Float32Array();

  constructor(private readonly opts: Output<typeof DPMSolverSinglestepScheduler.options>) {
    super();
    checkLevels(opts);
    checkDpm(opts);
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  setTimesteps(steps: number): void {
    const { opts, trained } = this,
      spacing = { ...opts, timestep_spacing: 'linspace', steps_offset: 0 };
    const spaced = solverTimesteps(steps, spacing, clippedTop(trained, opts.lambda_min_clipped)),
      plan = solverPlan(steps, () => spaced, trained, opts),
      zero = opts.final_sigmas_type === 'zero';
    this.timesteps = plan.timesteps;
    this.levels = [...plan.sigmas, zero ? 0 : trained[0]].map(levelOf);
    const lower = opts.lower_order_final || zero || steps % opts.solver_order !== 0;
    this.orders = lower ? loweredOrders(steps, opts.solver_order) : rising(steps, opts.solver_order);
    if (zero) this.orders[steps - 1] = 1;
    this.history = [];
  }

  step(output: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): Float32Array {
    const { opts, levels } = this;
    this.history = [extrapolated(output, sample, levels[index], opts), ...this.history].slice(0, opts.solver_order);
    const fresh = isStochastic(opts.algorithm_type) ? noise() : undefined;
    const order = Math.min(this.orders[index], this.history.length);
    if (order === 1) this.first = sample;
    const from = levels[index - order + 1],
      to = levels[index + 1];
    return dpmUpdate(this.first, from, to, this.expansion(index, order), opts.algorithm_type, fresh);
  }

  /** Around the beginning of the step. */
  private expansion(index: number, order: number): Parameters<typeof dpmUpdate>[3] {
    const value = this.history[order - 1],
      start = this.levels[index - order + 1].lambda,
      h = this.levels[index + 1].lambda - start;
    /** mean slope from the beginning to the evaluation `back` steps ago, and where that is */
    const slopeTo = (back: number): { slope: Float32Array; r: number } => {
      const r = (this.levels[index - back].lambda - start) / h;
      return { r, slope: value.map((v, i) => (this.history[back][i] - v) / r) };
    };
    const heun = this.opts.solver_type === 'heun';
    if (order === 1) return { value, midpoint: true };
    const last = slopeTo(0);
    if (order === 2 || !heun) return { value, slope: last.slope, midpoint: order === 2 && !heun };
    const middle = slopeTo(1),
      gap = last.r - middle.r;
    return {
      value,
      slope: value.map((_, i) => (last.r * middle.slope[i] - middle.r * last.slope[i]) / gap),
      curvature: value.map((_, i) => (2 * (last.slope[i] - middle.slope[i])) / gap),
      midpoint: false,
    };
  }
}

/** 1, 2, ..., order, 1, 2, ... */
const rising = (steps: number, order: number): number[] => Array.from({ length: steps }, (_, i) => (i % order) + 1);

/** As `rising`, but the last is never of full order: a last whole round ends with a first-order step. */
function loweredOrders(steps: number, order: number): number[] {
  const orders = rising(steps, order);
  if (orders[steps - 1] === order) orders[steps - 1] = 1;
  return orders;
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    DPMSolverSinglestepScheduler: typeof DPMSolverSinglestepScheduler;
  }
}
