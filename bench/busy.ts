/** A machine that does something else measures that, too. */
import { UserError } from '../src/base/errors.js';
import { median, type Timed } from './stats.js';

/** Above this much foreign CPU (percent of one core) a time says little. */
export const BUSY_PERCENT = 15;

/** The most that any process of a row saw. */
export const foreignPercent = (runs: readonly Timed[]): number =>
  Math.max(...runs.map((r) => median(r.foreign_cpu_percent)));
export const isBusy = (runs: readonly Timed[]): boolean => foreignPercent(runs) > BUSY_PERCENT;

/**
 * @returns a warning, when it is measured all the same
 * @throws UserError when other processes compute and nobody insists
 */
export function refuseBusy(foreign: number, force: boolean): string | undefined {
  if (foreign <= BUSY_PERCENT) return undefined;
  const seen = `other processes use ${foreign} % of a core, more than ${BUSY_PERCENT}`;
  if (!force)
    throw new UserError(`bench: ${seen}, so times would say little; wait, or measure all the same with --force`);
  return `${seen}; such rows are marked`;
}
