/** Calls every hook at a point, the most urgent first. */
import { PRIORITY, type Hook, type PlannedRun } from './hook.js';
import { Phases } from './phases.js';
import type { RunState } from './run-state.js';

type Point = Exclude<keyof Hook, 'priority' | 'plan' | 'beforeSaveCheckpoint'>;

export class RunHooks {
  private readonly ordered: readonly Hook[];

  /** @param hooks those of equal priority keep this order @param phases gets the time of each, by its class */
  constructor(
    hooks: readonly Hook[],
    private readonly phases = new Phases(),
  ) {
    this.ordered = [...hooks].sort((a, b) => PRIORITY[a.priority] - PRIORITY[b.priority]);
  }

  async call(point: Point, run: RunState): Promise<void> {
    for (const hook of this.ordered) await this.timed(hook, () => hook[point](run));
  }

  async plan(run: PlannedRun): Promise<void> {
    for (const hook of this.ordered) await hook.plan(run);
  }

  async beforeSaveCheckpoint(run: RunState, folder: string): Promise<void> {
    for (const hook of this.ordered) await this.timed(hook, () => hook.beforeSaveCheckpoint(run, folder));
  }

  /** Every hook gets its turn to clean up, even when another fails; the first failure is thrown at the end. */
  async afterRun(run: RunState): Promise<void> {
    const failures: unknown[] = [];
    for (const hook of this.ordered)
      await this.timed(hook, () => hook.afterRun(run)).catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }

  private timed(hook: Hook, work: () => Promise<void>): Promise<void> {
    return this.phases.measure(hook.constructor.name, work);
  }
}
