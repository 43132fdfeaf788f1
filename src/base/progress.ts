/** How far a task is, and how long it will still take: a bar on a terminal, a line now and then elsewhere. */
import { startProgress, type Logger, type Progress } from './logger.js';

export interface Task {
  /** what is counted: "class pictures" */
  readonly what: string;
  /** how many there are */
  readonly total: number;
  /** steps that each takes; progress is counted in them. Default 1 */
  readonly each?: number;
}

export interface Tracked {
  /** @param steps done of all */
  update(steps: number): void;
  stop(): void;
}

/** A task that is done before this says nothing. */
const QUIET_MS = 2000;
/** Between lines where there is no bar: this, and a tenth of the time so far. */
const LINE_MS = 10_000;

/** @param now milliseconds */
export function track(
  log: Logger,
  { what, total, each = 1 }: Task,
  now: () => number = () => performance.now(),
): Tracked {
  const start = now(),
    pace = new Pace(total * each, now);
  let bar: Progress | undefined,
    next = start + QUIET_MS;
  return {
    update(steps) {
      pace.reach(steps);
      if (now() - start < QUIET_MS) return;
      const count = `${Math.floor(steps / each)}/${total}`,
        left = pace.left();
      bar ??= startProgress(log, total * each, 0);
      bar?.update(steps, [`${what} ${count}`, ...(left === undefined ? [] : [`${duration(left)} left`])].join('  '));
      if (bar || now() < next) return;
      log.info(`${what}: ${count}${left === undefined ? '' : `, ${duration(left)} left`}`);
      next = now() + Math.max(LINE_MS, (now() - start) / 10);
    },
    stop: () => bar?.stop(),
  };
}

/** Foretells an end from the steps so far. The first one does not count: programs are compiled in it. */
export class Pace {
  private first: { readonly steps: number; readonly at: number } | undefined;
  private done = 0;

  /** @param now milliseconds */
  constructor(
    private readonly total: number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** @param steps done of all */
  reach(steps: number): void {
    this.done = steps;
    this.first ??= { steps, at: this.now() };
  }

  /** Seconds; undefined before two steps are done. */
  left(): number | undefined {
    const { first, done, total } = this;
    if (done >= total) return 0;
    if (!first || done <= first.steps) return undefined;
    return ((this.now() - first.at) / (done - first.steps) / 1000) * (total - done);
  }
}

/** Seconds as hours, minutes, seconds: 3725 -> 1:02:05 */
export function duration(seconds: number): string {
  const s = Math.round(seconds);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}
