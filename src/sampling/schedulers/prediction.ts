/** What a U-Net's answer says about the picture and the noise in a sample, and limits of the picture. */

const f32 = Math.fround;

/** prediction_type of a config */
export type Prediction = string;

/** The picture in x = sa x0 + sb eps; Salimans and Ho, arXiv 2202.00512, appendix D, for velocities. */
export function pictureOf(
  kind: Prediction,
  output: Float32Array,
  x: Float32Array,
  sa: number,
  sb: number,
): Float32Array {
  switch (kind) {
    case 'v_prediction':
      return x.map((v, i) => sa * v - sb * output[i]);
    case 'sample':
      return output;
    default:
      return x.map((v, i) => (v - sb * output[i]) / sa);
  }
}

/** The noise in x = sa x0 + sb eps. */
export function noiseOf(kind: Prediction, output: Float32Array, x: Float32Array, sa: number, sb: number): Float32Array {
  switch (kind) {
    case 'v_prediction':
      return x.map((v, i) => sa * output[i] + sb * v);
    case 'sample':
      return x.map((v, i) => (v - sa * output[i]) / sb);
    default:
      return output;
  }
}

/**
 * The picture in x = x0 + sigma eps, as k-diffusion counts. Rounded to float32 like diffusers, for with zero-terminal SNR
 * sigma is 4096 and little is left of the difference of two such samples.
 */
export function denoised(kind: Prediction, output: Float32Array, x: Float32Array, sigma: number): Float32Array {
  const squares = f32(f32(sigma ** 2) + 1),
    forOutput = f32(-sigma / f32(Math.sqrt(squares)));
  switch (kind) {
    case 'v_prediction':
      return x.map((v, i) => f32(output[i] * forOutput) + f32(v / squares));
    case 'sample':
      return output;
    default:
      return x.map((v, i) => v - f32(sigma * output[i]));
  }
}

/** dx / dsigma = (x - x0) / sigma */
export const derivative = (x: Float32Array, x0: Float32Array, sigma: number): Float32Array =>
  x.map((v, i) => f32(v - x0[i]) / sigma);

/** A straight step along the noise level. */
export function moved(x: Float32Array, slope: Float32Array, distance: number): Float32Array {
  const dt = f32(distance);
  return x.map((v, i) => v + f32(slope[i] * dt));
}

interface Limits {
  readonly thresholding?: boolean;
  readonly dynamic_thresholding_ratio?: number;
  readonly sample_max_value?: number;
  readonly clip_sample?: boolean;
  readonly clip_sample_range?: number;
}

/** Limits a predicted picture as `thresholding`, else `clip_sample`, asks; both off leave it as it is. */
export function limited(picture: Float32Array, opts: Limits): Float32Array {
  if (opts.thresholding) {
    const { dynamic_thresholding_ratio: ratio = 0.995, sample_max_value: most = 1 } = opts;
    const limit = Math.min(Math.max(quantile(picture.map(Math.abs), ratio), 1), most);
    return picture.map((v) => Math.min(Math.max(v, -limit), limit) / limit);
  }
  const { clip_sample_range: range = 1 } = opts;
  return opts.clip_sample ? picture.map((v) => Math.min(Math.max(v, -range), range)) : picture;
}

/** Linear between the two nearest ranks, as torch.quantile. Sorts `values` in place. */
function quantile(values: Float32Array, share: number): number {
  values.sort();
  const at = share * (values.length - 1),
    below = Math.floor(at);
  return values[below] + ((values[below + 1] ?? values[below]) - values[below]) * (at - below);
}
