/** Curves as the chart wants them: smoothed, and over one axis. */

export interface Curve {
  /** of the run, for the legend */
  readonly name: string;
  /** its place among the runs, which gives colour and dash */
  readonly place: number;
  /** ascending */
  readonly iter: readonly number[];
  readonly value: readonly number[];
}

/** A column per curve beside the shared axis; null where a curve has no value. */
export type Columns = [number[], ...(number | null)[][]];

/**
 * Exponential running mean, its start corrected as in TensorBoard.
 * @param weight of what was, 0 to 0.999; 0 leaves the values as they are
 */
export function smooth(values: readonly number[], weight: number): number[] {
  if (weight <= 0) return [...values];
  let mean = 0,
    share = 1;
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    mean = weight * mean + (1 - weight) * value;
    share *= weight;
    return mean / (1 - share);
  });
}

/**
 * Rows of all iterations that some curve has. Values that the axis cannot show become null.
 * @param positive a logarithmic axis: only values above 0
 */
export function columns(
  curves: readonly { readonly iter: readonly number[]; readonly value: readonly number[] }[],
  positive: boolean,
): Columns {
  const shown = (value: number | undefined): number | null =>
    value !== undefined && Number.isFinite(value) && (!positive || value > 0) ? value : null;
  const [first, ...others] = curves;
  if (first && others.every(({ iter }) => sameAxis(iter, first.iter)))
    return [[...first.iter], ...curves.map(({ value, iter }) => iter.map((_, i) => shown(value[i])))];
  const axis = [...new Set(curves.flatMap(({ iter }) => iter))].sort((a, b) => a - b);
  const row = new Map(axis.map((iter, i) => [iter, i]));
  const filled = curves.map(({ iter, value }) => {
    const column = new Array<number | null>(axis.length).fill(null);
    iter.forEach((at, i) => (column[row.get(at)!] = shown(value[i])));
    return column;
  });
  return [axis, ...filled];
}

const sameAxis = (a: readonly number[], b: readonly number[]): boolean =>
  a === b || (a.length === b.length && a.every((value, i) => value === b[i]));

/** The row's value, or the one before it; what a reader means who points between two. */
export function valueAt(column: readonly (number | null)[] | undefined, row: number | null): number | null {
  if (column === undefined) return null;
  for (let i = row ?? column.length - 1; i >= 0; i--) if (column[i] !== null) return column[i] ?? null;
  return null;
}
