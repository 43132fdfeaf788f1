/** Figures from repeated measurements. */

/** What both sides report of one process. */
export interface Timed {
  /** seconds of each repetition */
  readonly all_s: readonly number[];
  /** CPU that other processes used meanwhile, in percent of one core */
  readonly foreign_cpu_percent: readonly number[];
  /** most memory that was ever resident */
  readonly peak_mb: number;
}

/** @throws Error for no values */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error('median: no values');
  const sorted = [...values].sort((a, b) => a - b),
    half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Without the first, which pays for page faults; a single one stands for itself. */
export const steady = (all: readonly number[]): readonly number[] => (all.length > 1 ? all.slice(1) : all);

/** Median over all processes of one side, the first step of each left out. */
export const pooled = (runs: readonly Timed[]): number => median(runs.flatMap(({ all_s }) => steady(all_s)));

/** Largest distance of the steady steps, in percent of their median. */
export function spreadPercent(runs: readonly Timed[]): number {
  const all = runs.flatMap(({ all_s }) => steady(all_s));
  return (100 * (Math.max(...all) - Math.min(...all))) / median(all);
}

export const peak = (runs: readonly Timed[]): number => Math.max(...runs.map((r) => r.peak_mb));

/**
 * How a cost grows: the exponent k of cost = c * size^k through two points, 1 when it is linear.
 * @param from, to `[size, cost]`
 */
export const growth = ([n, a]: readonly [number, number], [m, b]: readonly [number, number]): number =>
  Math.log(b / a) / Math.log(m / n);
