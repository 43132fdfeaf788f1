/** Sums over rows, in float64. */
import type { Rows } from './metric.js';

/** @returns the row divided by its length; zeros stay zeros */
export function unit(row: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(row),
    length = Math.sqrt(dot(values, values));
  return length === 0 ? values : values.map((v) => v / length);
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** @param rows at least one @returns their mean, of the same length */
export function meanRow(rows: readonly ArrayLike<number>[]): Float64Array {
  const mean = new Float64Array(rows[0].length);
  for (const row of rows) for (let i = 0; i < mean.length; i++) mean[i] += row[i];
  return mean.map((v) => v / rows.length);
}

export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Rows that are used again and again, such as those of reference pictures, are worked on once. */
export function remembered<T>(compute: (rows: Rows) => T): (rows: Rows) => T {
  const known = new WeakMap<Rows, { readonly value: T }>();
  return (rows) => {
    const found = known.get(rows) ?? { value: compute(rows) };
    known.set(rows, found);
    return found.value;
  };
}
