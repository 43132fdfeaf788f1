import { METRICS, Metric, type Evidence, type Need, type Rows } from './metric.js';
import type { OptionsSchema } from '../../registry/schema.js';
import { cholesky, eigenvalues, sandwich } from './symmetric.js';
import { dot, meanRow, remembered } from './vectors.js';

/**
 * The distance of FID (Heusel et al., arXiv 1706.08500) between Gaussians fitted to features, here CLIP's instead of
 * Inception's (Kynkaanniemi et al., arXiv 2203.06026).
 */
@METRICS.register()
export class FrechetDistance extends Metric {
  static readonly options = {
    description:
      'FD: Frechet distance between the CLIP features of generated and of reference pictures. Falls with the number of pictures; compare equal numbers only.',
    type: 'object',
    additionalProperties: false,
    properties: {},
  } as const satisfies OptionsSchema;
  override readonly needs: readonly Need[] = ['generated', 'reference'];
  override readonly better = 'lower';
  private readonly fitReference = remembered(gaussian);

  override scores({ generated, reference }: Evidence): Record<string, number> {
    return { FD: frechet(gaussian(generated), this.fitReference(reference)) };
  }
}

export interface Gaussian {
  readonly mean: Float64Array;
  /** [D * D], divided by n - 1 as numpy.cov */
  readonly covariance: Float64Array;
  /** [k * D] with factor' factor = covariance, k as small as possible */
  readonly factor: Float64Array;
}

/** @param rows one alone has no spread: its covariance is 0 */
function gaussian(rows: Rows): Gaussian {
  const mean = meanRow(rows),
    D = mean.length,
    n = rows.length,
    centred = new Float64Array(n * D),
    scale = 1 / Math.sqrt(Math.max(1, n - 1));
  rows.forEach((row, r) => {
    for (let i = 0; i < D; i++) centred[r * D + i] = (row[i] - mean[i]) * scale;
  });
  const covariance = new Float64Array(D * D);
  for (let r = 0; r < n; r++) {
    const row = centred.subarray(r * D, (r + 1) * D);
    for (let i = 0; i < D; i++) for (let j = 0; j <= i; j++) covariance[i * D + j] += row[i] * row[j];
  }
  for (let i = 0; i < D; i++) for (let j = 0; j < i; j++) covariance[j * D + i] = covariance[i * D + j];
  return { mean, covariance, factor: n <= D ? centred : transposed(cholesky(covariance, D), D) };
}

/** |mean difference|^2 + tr(A + B - 2 (A B)^{1/2}) */
export function frechet(a: Gaussian, b: Gaussian): number {
  const D = a.mean.length,
    difference = a.mean.map((v, i) => v - b.mean[i]);
  // A = F'F, and F'F B has the eigenvalues of F B F', which is symmetric, and 0.
  const k = a.factor.length / D,
    roots = eigenvalues(sandwich(a.factor, b.covariance, k, D), k).map((v) => Math.sqrt(Math.max(0, v)));
  const distance =
    dot(difference, difference) +
    trace(a.covariance, D) +
    trace(b.covariance, D) -
    2 * roots.reduce((x, y) => x + y, 0);
  return Math.max(0, distance); // equal ones differ by rounding
}

const trace = (matrix: Float64Array, n: number): number =>
  Array.from({ length: n }, (_, i) => matrix[i * n + i]).reduce((a, b) => a + b, 0);

const transposed = (matrix: Float64Array, n: number): Float64Array =>
  matrix.map((_, at) => matrix[(at % n) * n + Math.floor(at / n)]);

declare module '../../registry/kinds.js' {
  interface MetricMap {
    FrechetDistance: typeof FrechetDistance;
  }
}
