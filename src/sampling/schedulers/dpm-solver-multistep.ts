import { UserError } from '../../base/errors.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import {
  checkDpm,
  clippedTop,
  dpmOptions,
  dpmUpdate,
  extrapolated,
  isStochastic,
  type Expansion,
} from './dpm-update.js';
import { SCHEDULERS, Scheduler, scheduleOf } from './scheduler.js';
import {
  finalSigmasOption,
  flowOptions,
  levelOptions,
  noiseOptions,
  predictionOption,
  solverOrderOption,
  spacingOptions,
  zeroSnrOption,
} from './shared-options.js';
import { checkLevels, levelsBy, trainedSigmas } from './sigmas.js';
import { levelOf, solverPlan, type Level } from './solver-levels.js';
import { roundHalfEven, solverTimesteps } from './spaced-timesteps.js';

/** Fewer steps than this end at lower order, for stability; as diffusers. */
const FEW_STEPS = 15;

/** Lu et al., arXiv 2211.01095, algorithm 2, and the methods of arXiv 2206.00927. */
@SCHEDULERS.register('DPMSolverMultistepScheduler')
export class DPMSolverMultistepScheduler extends Scheduler {
  static readonly options = {
    description: 'DPM-Solver++(2M) and its relatives: multistep, good pictures in 20 steps.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...noiseOptions,
      ...zeroSnrOption,
      ...predictionOption,
      ...spacingOptions('linspace'),
      ...solverOrderOption,
      ...dpmOptions,
      lower_order_final: {
        type: 'boolean',
        default: true,
        description: 'the last of fewer than 15 steps at lower order',
      },
      euler_at_final: { type: 'boolean', default: false, description: 'last step always at first order' },
      ...finalSigmasOption,
      ...levelOptions,
      use_lu_lambdas: {
        type: 'boolean',
        default: false,
        description: 'noise levels even in log-SNR; Lu et al., arXiv 2206.00927',
      },
      ...flowOptions,
    },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  private levels: Level[] = [];
  /** latest first */
  private history: Float32Array[] = [];

  constructor(private readonly opts: Output<typeof DPMSolverMultistepScheduler.options>) {
    super();
    checkLevels(opts);
    checkDpm(opts);
    if (opts.algorithm_type === 'sde-dpmsolver' && opts.solver_order === 3)
      throw new UserError(
        'solver_order: 3 is not defined for algorithm_type "sde-dpmsolver"; use 2, or "sde-dpmsolver++"',
      );
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  setTimesteps(steps: number): void {
    const { opts, trained } = this,
      exact = opts.beta_schedule === 'squaredcos_cap_v2';
    const spaced = (): number[] => solverTimesteps(steps, opts, clippedTop(trained, opts.lambda_min_clipped));
    spaced(); // also where other levels are taken: it checks the number of steps
    const plan =
      opts.use_lu_lambdas && !opts.use_karras_sigmas
        ? wholeTimesteps(levelsBy(steps, evenLogSnr(trained), trained), exact)
        : solverPlan(steps, spaced, trained, opts, !exact);
    this.timesteps = plan.timesteps;
    this.levels = [...plan.sigmas, opts.final_sigmas_type === 'zero' ? 0 : trained[0]].map(levelOf);
    this.history = [];
  }

  step(output: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): Float32Array {
    const { opts, levels } = this;
    this.history = [extrapolated(output, sample, levels[index], opts), ...this.history].slice(0, opts.solver_order);
    const fresh = isStochastic(opts.algorithm_type) ? noise() : undefined;
    return dpmUpdate(sample, levels[index], levels[index + 1], this.expansion(index), opts.algorithm_type, fresh);
  }

  private expansion(index: number): Expansion {
    const [m0, m1, m2] = this.history,
      order = Math.min(this.history.length, this.orderAt(index)),
      lambda = (back: number): number => this.levels[index - back].lambda;
    const h = this.levels[index + 1].lambda - lambda(0);
    if (order === 1 || h === 0) return { value: m0, midpoint: true };
    const r0 = (lambda(0) - lambda(1)) / h,
      slope = m0.map((v, i) => (v - m1[i]) / r0);
    if (order === 2) return { value: m0, slope, midpoint: this.opts.solver_type !== 'heun' };
    const r1 = (lambda(1) - lambda(2)) / h;
    const bend = slope.map((v, i) => v - (m1[i] - m2[i]) / r1);
    return {
      value: m0,
      slope: slope.map((v, i) => v + (r0 / (r0 + r1)) * bend[i]),
      curvature: bend.map((v) => v / (r0 + r1)),
      midpoint: false,
    };
  }

  private orderAt(index: number): number {
    const { euler_at_final: always, lower_order_final: lower, final_sigmas_type: final } = this.opts,
      left = this.timesteps.length - index,
      few = lower && this.timesteps.length < FEW_STEPS;
    if (left === 1 && (always || few || final === 'zero')) return 1;
    return left === 2 && few ? 2 : 3;
  }
}

/** From the noisiest to the cleanest; the logarithms of both are rounded to float32, as diffusers rounds them. */
function evenLogSnr(trained: readonly number[]): (share: number) => number {
  const high = Math.fround(Math.log(trained[trained.length - 1])),
    low = Math.fround(Math.log(trained[0]));
  return (share) => Math.exp(high + share * (low - high));
}

function wholeTimesteps(
  { timesteps, sigmas }: { timesteps: number[]; sigmas: number[] },
  cut: boolean,
): { timesteps: number[]; sigmas: number[] } {
  return { timesteps: timesteps.map(cut ? Math.trunc : roundHalfEven), sigmas };
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    DPMSolverMultistepScheduler: typeof DPMSolverMultistepScheduler;
  }
}
