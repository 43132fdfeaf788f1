/** How sure a mean is. */
import type { RandomStream } from '../../base/rng.js';
import type { Evidence, Metric, Rows } from './metric.js';
import { mean } from './vectors.js';

/** Quantiles of Student's t at 0.975 for 1, 2, ... 30 degrees of freedom: two-sided 95 %. */
const T_975 = [
  12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281, 2.201, 2.1788, 2.1604, 2.1448, 2.1314,
  2.1199, 2.1098, 2.1009, 2.093, 2.086, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
];
/** The normal distribution's. */
const Z_975 = 1.959964;

/** Beyond the table, an expansion in the inverse of the degrees (Abramowitz and Stegun, 26.7.5), there exact to 4 digits. */
export function tQuantile(degrees: number): number {
  const z = Z_975,
    terms = [
      z,
      (z ** 3 + z) / 4,
      (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
      (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
    ];
  return T_975[degrees - 1] ?? terms.reduce((sum, term, k) => sum + term / degrees ** k, 0);
}

/** Half the width of the 95 % interval of the mean of normal values; undefined for fewer than two. */
export function studentHalfWidth(values: readonly number[]): number | undefined {
  if (values.length < 2) return undefined;
  return (tQuantile(values.length - 1) * deviation(values)) / Math.sqrt(values.length);
}

function deviation(values: readonly number[]): number {
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, v) => sum + (v - centre) ** 2, 0) / (values.length - 1));
}

/**
 * Half the width of the 95 % interval over pictures: the deviation of the values among pictures drawn anew with repetition,
 * times 1.96. Not their percentiles: repetition makes a set look poorer than it is, which shifts a Frechet distance.
 * @param evidence all generated pictures @returns by the names of the scores
 */
export function bootstrapHalfWidths(
  metric: Metric,
  evidence: Evidence,
  stream: RandomStream,
  replicates: number,
): Record<string, number> {
  const n = evidence.generated.length || evidence.judged.length;
  const drawn = Array.from({ length: replicates }, () => {
    const picked = Array.from({ length: n }, () => stream.int(0, n));
    const from = (rows: Rows): Rows => (rows.length === 0 ? rows : picked.map((i) => rows[i]));
    return metric.scores({
      ...evidence,
      generated: from(evidence.generated),
      texts: from(evidence.texts),
      judged: from(evidence.judged),
    });
  });
  const names = new Set(drawn.flatMap((scores) => Object.keys(scores)));
  // A replicate that happens to hold no picture with a value has no score.
  const values = (name: string): number[] => drawn.flatMap((scores) => (name in scores ? [scores[name]] : []));
  return Object.fromEntries(
    [...names].filter((name) => values(name).length > 1).map((name) => [name, Z_975 * deviation(values(name))]),
  );
}
