import { Registry } from '../../registry/registry.js';

/**
 * Learning-rate schedules with mmengine's names and numbers (https://mmengine.readthedocs.io, param_scheduler), written as
 * pure functions of the iteration, so that a resumed run needs no schedule state.
 */
export abstract class LrSchedule {
  /**
   * What the base learning rate is multiplied by.
   * @param iteration 0-based
   * @param maxIters iterations of the whole run; stands in for an `end` that is not set
   * @param baseLr the optimizer's learning rate, for limits that are given as a rate
   */
  abstract factor(iteration: number, maxIters: number, baseLr: number): number;
}

/** The options every schedule has. */
export const rangeProperties = {
  begin: {
    type: 'integer',
    minimum: 0,
    default: 0,
    description: 'first iteration the schedule acts on; before it the factor is 1',
  },
  end: {
    type: 'integer',
    minimum: 1,
    description: 'first iteration it no longer acts on; its last factor stays. Default: the end of the run',
  },
  by_epoch: {
    type: 'boolean',
    enum: [false],
    default: false,
    description: 'schedules count iterations; here for configs of mmengine',
  },
} as const;

export interface Range {
  readonly begin: number;
  readonly end?: number | undefined;
}

/** Where in its range a schedule is: `t` of `last`, both counted from `begin`; undefined before it. */
export function position(range: Range, iteration: number, maxIters: number): { t: number; last: number } | undefined {
  if (iteration < range.begin) return undefined;
  const last = Math.max((range.end ?? maxIters) - range.begin - 1, 0);
  return { t: Math.min(iteration - range.begin, last), last };
}

/**
 * The learning rate of an iteration: all schedules multiplied. A warm-up that ends at factor 1 followed by a decay gives
 * mmengine's values; so does any overlap, except that mmengine applies `eta_min` of a cosine before other factors.
 */
export function learningRate(
  schedules: readonly LrSchedule[],
  iteration: number,
  maxIters: number,
  baseLr: number,
): number {
  return schedules.reduce((lr, schedule) => lr * schedule.factor(iteration, maxIters, baseLr), baseLr);
}

export const LR_SCHEDULES = new Registry<LrSchedule>('LR_SCHEDULES', 'learning rate schedule');
