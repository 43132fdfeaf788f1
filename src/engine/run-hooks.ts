/** Calls every hook at a point, the most urgent first. */
import { PRIORITY, type Hook, type PlannedRun } from './hook.js';
import { Phases } from './phases.js';
import type { RunState } from './run-state.js';

type Point = Exclude<keyof Hook, 'priority' | 'ranks' | 'drawnBy' | 'plan' | 'beforeSaveCheckpoint'>;

export class RunHooks {
  private readonly ordered: readonly Hook[];
  /** At work now. */
  private current: Hook | undefined;

  /** @param hooks those of equal priority keep this order @param phases gets the time of each, by its class */
  constructor(
    hooks: readonly Hook[],
    private readonly phases = new Phases(),
  ) {
    this.ordered = [...hooks].sort((a, b) => PRIORITY[a.priority] - PRIORITY[b.priority]);
  }

  /** All ranks are in the same hook now, or in none. */
  get together(): boolean {
    return this.current === undefined || this.current.ranks === 'all';
  }

  async call(point: Point, run: RunState): Promise<void> {
    for (const hook of this.ordered) await this.timed(hook, () => hook[point](run));
  }

  async plan(run: PlannedRun): Promise<void> {
    for (const hook of this.ordered) await hook.plan(run);
  }

  /** @param without hooks that are left out; one that fails is added to them, and its error thrown */
  async beforeSaveCheckpoint(run: RunState, folder: string, without = new Set<Hook>()): Promise<void> {
    for (const hook of this.ordered.filter((h) => !without.has(h)))
      await this.timed(hook, () => hook.beforeSaveCheckpoint(run, folder)).catch((error: unknown) => {
        without.add(hook);
        throw error;
      });
  }

  /** Every hook gets its turn, even when another fails: their states belong to one iteration. The first failure is thrown at the end. */
  afterTrainIter(run: RunState): Promise<void> {
    return this.all('afterTrainIter', run);
  }

  /** Every hook gets its turn to clean up, even when another fails; the first failure is thrown at the end. */
  afterRun(run: RunState): Promise<void> {
    return this.all('afterRun', run);
  }

  private async all(point: Point, run: RunState): Promise<void> {
    const failures: unknown[] = [];
    for (const hook of this.ordered)
      await this.timed(hook, () => hook[point](run)).catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }

  private async timed(hook: Hook, work: () => Promise<void>): Promise<void> {
    const before = this.current;
    this.current = hook;
    try {
      await this.phases.measure(hook.constructor.name, work);
    } finally {
      this.current = before; // a hook that saves calls others
    }
  }
}
