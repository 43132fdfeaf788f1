import { UserError } from '../../base/errors.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { limited, noiseOf, pictureOf } from './prediction.js';
import { SCHEDULERS, Scheduler, scheduleOf } from './scheduler.js';
import {
  finalSigmasOption,
  flowOptions,
  levelOptions,
  noiseOptions,
  predictionOption,
  solverOrderOption,
  spacingOptions,
  thresholdingOptions,
  zeroSnrOption,
} from './shared-options.js';
import { checkLevels, trainedSigmas } from './sigmas.js';
import { levelOf, solverPlan, type Level } from './solver-levels.js';
import { solve } from './solve.js';
import { solverTimesteps } from './spaced-timesteps.js';

/** Zhao et al., "UniPC", arXiv 2302.04867, algorithms 5 to 8: each prediction first corrects the step that led to it. */
@SCHEDULERS.register('UniPCMultistepScheduler')
export class UniPCMultistepScheduler extends Scheduler {
  static readonly options = {
    description: 'UniPC: a predictor and a corrector that share evaluations, good pictures in 10 steps.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...noiseOptions,
      ...zeroSnrOption,
      ...predictionOption,
      ...spacingOptions('linspace'),
      ...thresholdingOptions,
      ...solverOrderOption,
      predict_x0: { type: 'boolean', default: true, description: 'extrapolate the picture; false: the noise' },
      solver_type: {
        type: 'string',
        enum: ['bh2', 'bh1', 'midpoint', 'heun', 'logrho'],
        default: 'bh2',
        description:
          'B(h) of the paper, bh2 for guided sampling; midpoint, heun and logrho, of other solvers, stand for bh2',
      },
      lower_order_final: { type: 'boolean', default: true, description: 'the last steps at lower order' },
      disable_corrector: {
        type: 'array',
        items: { type: 'integer', minimum: 0 },
        default: [],
        description: 'steps that are not corrected, counted from 0',
      },
      solver_p: { type: 'null', default: null, description: 'another predictor; not supported' },
      ...finalSigmasOption,
      ...levelOptions,
      ...flowOptions,
      shift_terminal: { type: 'null', default: null, description: 'of flow matching; not supported' },
    },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  private levels: Level[] = [];
  /** latest first */
  private history: Float32Array[] = [];
  private before: { sample: Float32Array; order: number } | undefined;

  constructor(private readonly opts: Output<typeof UniPCMultistepScheduler.options>) {
    super();
    checkLevels(opts);
    const { final_sigmas_type: final, lower_order_final: lower, predict_x0: picture, solver_order: order } = opts;
    if (final === 'zero' && (!picture || (!lower && order > 1)))
      throw new UserError(
        `final_sigmas_type: "zero" cannot be reached with ${picture ? 'lower_order_final' : 'predict_x0'} false; set final_sigmas_type to "sigma_min", or ${picture ? 'lower_order_final' : 'predict_x0'} to true`,
      );
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  setTimesteps(steps: number): void {
    const { opts, trained } = this,
      spaced = solverTimesteps(steps, opts),
      plan = solverPlan(steps, () => spaced, trained, opts);
    const least = plan.spread ? plan.sigmas[plan.sigmas.length - 1] : trained[0];
    this.timesteps = plan.timesteps;
    this.levels = [...plan.sigmas, opts.final_sigmas_type === 'zero' ? 0 : least].map(levelOf);
    this.history = [];
    this.before = undefined;
  }

  step(output: Float32Array, index: number, sample: Float32Array, _noise: () => Float32Array): Float32Array {
    const { opts, levels, before } = this,
      { alpha, sigma } = levels[index];
    const latest = opts.predict_x0
      ? limited(pictureOf(opts.prediction_type, output, sample, alpha, sigma), opts)
      : noiseOf(opts.prediction_type, output, sample, alpha, sigma);
    const corrected =
      before && !opts.disable_corrector.includes(index - 1)
        ? this.update(before.sample, index - 1, before.order, latest)
        : sample;
    this.history = [latest, ...this.history].slice(0, opts.solver_order);
    const left = opts.lower_order_final ? this.timesteps.length - index : opts.solver_order;
    const order = Math.min(opts.solver_order, left, this.history.length);
    this.before = { sample: corrected, order };
    return this.update(corrected, index, order);
  }

  /**
   * From level `from` to the next, with as many of the latest predictions as `order`.
   * @param ahead the prediction at the next level: then this is the corrector, else the predictor
   */
  private update(x: Float32Array, from: number, order: number, ahead?: Float32Array): Float32Array {
    const { history, levels, opts } = this,
      [m0] = history,
      [here, next] = [levels[from], levels[from + 1]];
    const h = next.lambda - here.lambda,
      hh = opts.predict_x0 ? -h : h,
      grown = Math.expm1(hh);
    const places = Array.from({ length: order - 1 }, (_, i) => (levels[from - i - 1].lambda - here.lambda) / h);
    const slopes = places.map((r, i) => history[i + 1].map((m, k) => (m - m0[k]) / r));
    if (ahead) slopes.push(ahead.map((m, k) => m - m0[k]));
    const shares = ahead ? corrector(places, hh, this.scale(hh)) : predictor(places, hh, this.scale(hh));
    const [forX, forPrediction] = opts.predict_x0
      ? [next.sigma / here.sigma, next.alpha]
      : [next.alpha / here.alpha, next.sigma];
    const bent = slopes.length === 0 ? 0 : this.scale(hh); // infinite at the last step, where there is no slope
    return x.map((v, k) => {
      const bend = slopes.reduce((sum, slope, i) => sum + shares[i] * slope[k], 0);
      return forX * v - forPrediction * (grown * m0[k] + bent * bend);
    });
  }

  /** B(h) of the paper. */
  private scale(hh: number): number {
    return this.opts.solver_type === 'bh1' ? hh : Math.expm1(hh);
  }
}

function predictor(places: readonly number[], hh: number, scale: number): number[] {
  if (places.length < 2) return [0.5];
  return solve(
    places.map((_, k) => places.map((r) => r ** k)),
    moments(places.length, hh, scale),
  );
}

function corrector(places: readonly number[], hh: number, scale: number): number[] {
  if (places.length === 0) return [0.5];
  const all = [...places, 1];
  return solve(
    all.map((_, k) => all.map((r) => r ** k)),
    moments(all.length, hh, scale),
  );
}

/** Right side of the paper's equation 11: k! h phi_(k+1)(h) / B(h), k = 1, 2, ... */
function moments(n: number, hh: number, scale: number): number[] {
  let factorial = 1,
    phi = Math.expm1(hh) / hh - 1;
  return Array.from({ length: n }, (_, k) => {
    const value = (phi * factorial) / scale;
    factorial *= k + 2;
    phi = phi / hh - 1 / factorial;
    return value;
  });
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    UniPCMultistepScheduler: typeof UniPCMultistepScheduler;
  }
}
