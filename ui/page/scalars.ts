/** Curves that grow. */
import type { Scalars } from '../../src/runs/run-view.js';

/**
 * Old values before an iteration, and the new ones from there on: a run that resumed writes iterations again.
 * @param from the iteration that was asked from
 */
export function appended(old: Scalars | undefined, fresh: Scalars, from: number): Scalars {
  if (old === undefined || from <= 0) return fresh;
  const names = new Set([...Object.keys(old), ...Object.keys(fresh)]);
  return Object.fromEntries(
    [...names].map((name) => {
      const { iter, value } = old[name] ?? { iter: [], value: [] },
        more = fresh[name] ?? { iter: [], value: [] };
      const kept = iter.findIndex((at) => at >= from),
        end = kept < 0 ? iter.length : kept;
      return [name, { iter: [...iter.slice(0, end), ...more.iter], value: [...value.slice(0, end), ...more.value] }];
    }),
  );
}

/** First iteration that is not known yet. */
export const nextIter = (scalars: Scalars | undefined): number =>
  scalars === undefined ? 0 : Math.max(0, ...Object.values(scalars).map(({ iter }) => (iter.at(-1) ?? -1) + 1));
