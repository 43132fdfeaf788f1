import type { OptionsSchema, Output } from '../../registry/schema.js';
import { denoised, derivative } from './prediction.js';
import { SCHEDULERS, Scheduler, scheduleOf } from './scheduler.js';
import { levelOptions, noiseOptions, predictionOption, spacingOptions } from './shared-options.js';
import { checkLevels, scaleBySigma, sigmaPlan, startSigma, trainedSigmas } from './sigmas.js';

/** How many of the latest slopes are used at most; as k-diffusion. */
const ORDER = 4;

/** Linear multistep of k-diffusion (Katherine Crowson): the polynomial through the latest slopes, integrated over a step. */
@SCHEDULERS.register('LMSDiscreteScheduler')
export class LMSDiscreteScheduler extends Scheduler {
  static readonly options = {
    description: 'Linear multistep along the noise level, of fourth order.',
    type: 'object',
    additionalProperties: false,
    properties: { ...noiseOptions, ...predictionOption, ...spacingOptions('linspace'), ...levelOptions },
  } as const satisfies OptionsSchema;
  private readonly trained: number[];
  private sigmas: number[] = [];
  /** latest first */
  private slopes: Float32Array[] = [];

  constructor(private readonly opts: Output<typeof LMSDiscreteScheduler.options>) {
    super();
    checkLevels(opts);
    this.trained = trainedSigmas(scheduleOf(opts));
  }

  setTimesteps(steps: number): void {
    const { sigma_min: _min, sigma_max: _max, ...unlimited } = this.opts;
    // diffusers does not read the two limits for Karras' levels here.
    const plan = sigmaPlan(steps, this.trained, this.opts.use_karras_sigmas ? unlimited : this.opts);
    this.timesteps = plan.timesteps;
    this.sigmas = [...plan.sigmas, 0];
    this.initNoiseSigma = startSigma(plan.sigmas, this.opts.timestep_spacing);
    this.slopes = [];
  }

  override scaleModelInput(sample: Float32Array, index: number): Float32Array {
    return scaleBySigma(sample, this.sigmas[index]);
  }

  step(output: Float32Array, index: number, sample: Float32Array, _noise: () => Float32Array): Float32Array {
    const sigma = this.sigmas[index];
    const slope = derivative(sample, denoised(this.opts.prediction_type, output, sample, sigma), sigma);
    this.slopes = [slope, ...this.slopes].slice(0, ORDER);
    const places = this.slopes.map((_, k) => this.sigmas[index - k]);
    const shares = places.map((_, k) => basisIntegral(places, k, sigma, this.sigmas[index + 1]));
    return sample.map((x, i) => this.slopes.reduce((sum, d, k) => sum + shares[k] * d[i], x));
  }
}

/** Gauss and Legendre's two points, exact for the cubic polynomials here. */
const GAUSS = [-1 / Math.sqrt(3), 1 / Math.sqrt(3)];

/** Integral from a to b of the polynomial that is 1 at the k-th place and 0 at the others. */
function basisIntegral(places: readonly number[], k: number, a: number, b: number): number {
  const value = (x: number): number =>
    places.reduce((product, place, j) => (j === k ? product : (product * (x - place)) / (places[k] - place)), 1);
  return GAUSS.reduce((sum, node) => sum + value((a + b) / 2 + (node * (b - a)) / 2), 0) * ((b - a) / 2);
}

declare module '../../registry/kinds.js' {
  interface SchedulerMap {
    LMSDiscreteScheduler: typeof LMSDiscreteScheduler;
  }
}
