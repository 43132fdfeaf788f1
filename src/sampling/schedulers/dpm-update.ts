/** One update of DPM-Solver and DPM-Solver++, with or without fresh noise; Lu et al., arXiv 2206.00927 and 2211.01095. */
import { UserError } from '../../base/errors.js';
import { limited, noiseOf, pictureOf } from './prediction.js';
import { thresholdingOptions } from './shared-options.js';
import type { Level } from './solver-levels.js';

/** Options of the update; `deis`, `logrho`, `bh1` and `bh2` are what configs of other solvers say, read as diffusers reads them. */
export const dpmOptions = {
  ...thresholdingOptions,
  algorithm_type: {
    type: 'string',
    enum: ['dpmsolver++', 'dpmsolver', 'sde-dpmsolver++', 'sde-dpmsolver', 'deis'],
    default: 'dpmsolver++',
    description:
      '++ predicts the picture, else the noise; sde adds fresh noise at each step; deis: as dpmsolver++, for configs of DEIS',
  },
  solver_type: {
    type: 'string',
    enum: ['midpoint', 'heun', 'logrho', 'bh1', 'bh2'],
    default: 'midpoint',
    description: 'form of the second-order term; logrho, bh1 and bh2, of other solvers, stand for midpoint',
  },
  variance_type: {
    type: 'string',
    enum: ['fixed_small', 'fixed_small_log', 'fixed_large', 'fixed_large_log'],
    description:
      'without effect, for configs of DDPM; learned ones, which need a U-Net that predicts them, are refused',
  },
  lambda_min_clipped: {
    type: 'number',
    description: 'timesteps with less log-SNR than this are left out; default none',
  },
} as const;

export interface DpmOptions {
  readonly algorithm_type: string;
  readonly solver_type: string;
  readonly prediction_type: string;
  readonly thresholding: boolean;
  readonly dynamic_thresholding_ratio: number;
  readonly sample_max_value: number;
  readonly final_sigmas_type: string;
}

/** @throws UserError when noise prediction would have to reach a level without noise, which it divides by */
export function checkDpm({ algorithm_type: algorithm, final_sigmas_type: final }: DpmOptions): void {
  if (!predictsPicture(algorithm) && final === 'zero')
    throw new UserError(
      `final_sigmas_type: "zero" cannot be reached with algorithm_type "${algorithm}"; set final_sigmas_type to "sigma_min", or algorithm_type to "dpmsolver++"`,
    );
}

export const isStochastic = (algorithm: string): boolean => algorithm.startsWith('sde-');
const predictsPicture = (algorithm: string): boolean => algorithm.endsWith('++') || algorithm === 'deis';

/** What the method extrapolates: the picture or the noise in the sample. */
export function extrapolated(
  output: Float32Array,
  x: Float32Array,
  { alpha, sigma }: Level,
  opts: DpmOptions,
): Float32Array {
  const picture = (): Float32Array => limited(pictureOf(opts.prediction_type, output, x, alpha, sigma), opts);
  if (predictsPicture(opts.algorithm_type)) return picture();
  return opts.thresholding
    ? noiseOf('sample', picture(), x, alpha, sigma)
    : noiseOf(opts.prediction_type, output, x, alpha, sigma);
}

/** Predictions as a Taylor polynomial in the step: value, slope, curvature; and which form its terms take. */
export interface Expansion {
  readonly value: Float32Array;
  readonly slope?: Float32Array;
  readonly curvature?: Float32Array;
  /** `midpoint` halves the first-order factor; else it is integrated exactly */
  readonly midpoint: boolean;
}

/** From level `from` to `to`. @param fresh standard normals, for stochastic algorithms */
export function dpmUpdate(
  x: Float32Array,
  from: Level,
  to: Level,
  { value, slope, curvature, midpoint }: Expansion,
  algorithm: string,
  fresh: Float32Array | undefined,
): Float32Array {
  const f = factors(from, to, algorithm);
  const forSlope = midpoint ? 0.5 * f.value : f.slope;
  return x.map(
    (v, i) =>
      f.sample * v +
      f.value * value[i] +
      (slope ? forSlope * slope[i] : 0) +
      (curvature ? f.curvature * curvature[i] : 0) +
      (fresh ? f.noise * fresh[i] : 0),
  );
}

/** Integrals of 1, u and u^2 / 2 against the exponential of the exact solution, by algorithm. */
function factors(
  from: Level,
  to: Level,
  algorithm: string,
): { sample: number; value: number; slope: number; curvature: number; noise: number } {
  const h = to.lambda - from.lambda;
  // A step of no length changes nothing; the quotients below would be 0 / 0.
  if (h === 0) return { sample: 1, value: 0, slope: 0, curvature: 0, noise: 0 };
  switch (algorithm) {
    case 'dpmsolver':
    case 'sde-dpmsolver': {
      const grown = Math.expm1(h),
        scale = algorithm === 'dpmsolver' ? -to.sigma : -2 * to.sigma;
      return {
        sample: to.alpha / from.alpha,
        value: scale * grown,
        slope: scale * (grown / h - 1),
        curvature: scale * ((grown - h) / h ** 2 - 0.5),
        noise: to.sigma * Math.sqrt(Math.expm1(2 * h)),
      };
    }
    case 'sde-dpmsolver++': {
      const gone = -Math.expm1(-2 * h);
      return {
        sample: (to.sigma / from.sigma) * Math.exp(-h),
        value: to.alpha * gone,
        slope: to.alpha * (gone / (-2 * h) + 1),
        curvature: to.alpha * ((gone - 2 * h) / (2 * h) ** 2 - 0.5),
        noise: to.sigma * Math.sqrt(gone),
      };
    }
    default: {
      const decay = Math.expm1(-h);
      return {
        sample: to.sigma / from.sigma,
        value: -to.alpha * decay,
        slope: to.alpha * (decay / h + 1),
        curvature: -to.alpha * ((decay + h) / h ** 2 - 0.5),
        noise: 0,
      };
    }
  }
}

/** How many of the trained timesteps have at least this log-SNR, counted from the cleanest. @param trained their sigma / alpha, rising */
export function clippedTop(trained: readonly number[], lambdaMin: number | undefined): number {
  if (lambdaMin === undefined) return trained.length;
  return trained.filter((ratio) => -Math.log(ratio) >= lambdaMin).length;
}
