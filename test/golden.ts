/** Where the reference numbers of the Python libraries lie: $DIFFENGINE_GOLDEN, or beside the checkout. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

const folder = resolve(process.env.DIFFENGINE_GOLDEN ?? '../shared/golden');

export const goldenDir: string | undefined = existsSync(folder) ? folder : undefined;
/** For tap: `t.test(name, { skip: skipGolden }, ...)`. */
export const skipGolden: string | false = goldenDir === undefined ? `no reference numbers in ${folder}` : false;

/** A path inside the golden folder; call it only in tests that `skipGolden` guards. */
export const golden = (...parts: string[]): string => resolve(folder, ...parts);

/** Largest difference, relative to the largest expected value. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let worst = 0,
    scale = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i] - expected[i]);
    if (Number.isNaN(difference)) return NaN; // fails every comparison
    worst = Math.max(worst, difference);
    scale = Math.max(scale, Math.abs(expected[i]));
  }
  return scale === 0 ? worst : worst / scale;
}
