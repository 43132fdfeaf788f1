/** Calls every hook at a point, the most urgent first. */
import { PRIORITY, type Hook, type PlannedRun } from './hook.js';
import { Phases } from './phases.js';
import type { Asides, RunState } from './run-state.js';

type Point = Exclude<keyof Hook, 'priority' | 'ranks' | 'period' | 'drawnBy' | 'plan' | 'beforeSaveCheckpoint'>;

export class RunHooks {
  private readonly ordered: readonly Hook[];
  /** At work now. */
  private current: Hook | undefined;
  /** Seconds that each hook with a period took the last time. */
  private readonly lastTook = new Map<Hook, number>();
  private took = 0;

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
    for (const hook of this.ordered)
      await this.timed(hook, () => hook[point](run), hook.period !== undefined && point === 'beforeTrain');
  }

  /** What hooks do from time to time took these seconds so far, and will take as long each time that is to come. */
  asides({ iter, maxIters }: RunState): Asides {
    const left = [...this.lastTook].reduce((seconds, [{ period = 0 }, each]) => {
      const times = (until: number): number => (period > 0 ? Math.floor(until / period) : 0),
        atEnd = period > 0 && maxIters % period === 0 ? 0 : 1;
      return seconds + each * (times(maxIters) - times(iter + 1) + atEnd);
    }, 0);
    return { spent: this.took, left };
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
      await this.timed(hook, () => hook[point](run), hook.period !== undefined && run.every(hook.period)).catch(
        (error: unknown) => failures.push(error),
      );
    if (failures.length > 0) throw failures[0];
  }

  /** @param isAside it does now what it does from time to time */
  private async timed(hook: Hook, work: () => Promise<void>, isAside = false): Promise<void> {
    const before = this.current,
      start = performance.now();
    this.current = hook;
    try {
      await this.phases.measure(hook.constructor.name, work);
    } finally {
      this.current = before; // a hook that saves calls others
      const seconds = (performance.now() - start) / 1000;
      if (isAside) this.lastTook.set(hook, seconds);
      if (isAside) this.took += seconds;
    }
  }
}
