/** Ctrl-C, SIGTERM and SIGUSR1 (which mpirun and Slurm pass on): the first asks the run to stop after this step, the second ends the process at once. */
import type { Logger } from '../src/base/logger.js';
import { Interrupted } from '../src/base/errors.js';

/** Shells report a process that a signal ended as 128 + its number. */
const EXIT_CODES = { SIGINT: 130, SIGUSR1: 138, SIGTERM: 143 } as const;
export type StopSignal = keyof typeof EXIT_CODES;

/** How many hear each signal now. */
const heard: Record<StopSignal, number> = { SIGINT: 0, SIGUSR1: 0, SIGTERM: 0 };

export class Interrupt {
  private readonly controller = new AbortController();
  private received: StopSignal | undefined;

  /** @param announcement what happens now, said at the first signal */
  constructor(
    private readonly log: Logger,
    private readonly announcement:
      string | undefined = 'finishing this step, then saving a checkpoint; once more ends the run now, without saving',
    private readonly signals: readonly StopSignal[] = Object.keys(EXIT_CODES) as StopSignal[],
  ) {
    for (const name of signals) {
      process.on(name, this.onSignal);
      heard[name]++;
    }
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** What the process should exit with; 0 when nobody interrupted it. */
  get exitCode(): number {
    return this.received ? EXIT_CODES[this.received] : 0;
  }

  /** Leaves signals to their default effect again. */
  dispose(): void {
    for (const name of this.signals) {
      process.off(name, this.onSignal);
      heard[name]--;
    }
  }

  private readonly onSignal = (name: NodeJS.Signals): void => {
    if (this.received) die(name as StopSignal);
    this.received = name as StopSignal;
    this.log.warn(`${name}: ${this.announcement}`);
    this.controller.abort(new Error(name));
  };
}

/** By the signal itself: process.exit() stops the worker thread inside a native computation, which aborts with a stack trace. */
function die(name: StopSignal): void {
  process.emit('exit', EXIT_CODES[name]); // temporary files and folders are removed by its listeners
  process.removeAllListeners(name);
  process.kill(process.pid, name);
}

/** Commands that do not hear signals end at the first, and leave nothing half-written behind. */
export function endBySignals(): void {
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      if (heard[name] === 0) die(name);
    });
}

/** Of a signal that another rank of the run heard. */
function codeOf(error: unknown): number {
  const reason = error instanceof Interrupted && error.cause instanceof Error ? error.cause.message : '';
  return reason in EXIT_CODES ? EXIT_CODES[reason as StopSignal] : 0;
}

/**
 * Work that signals may stop. Stopped so, the process ends with the signal's exit code, and what was stopped is said:
 * it is no failure to explain. @param announcement as in `Interrupt` @param signals those that are heard; others have their default effect
 */
export async function interruptible(
  log: Logger,
  work: (signal: AbortSignal) => Promise<void>,
  announcement?: string,
  signals?: readonly StopSignal[],
): Promise<void> {
  const interrupt = new Interrupt(log, announcement, signals);
  try {
    await work(interrupt.signal);
  } catch (error) {
    process.exitCode = interrupt.exitCode || codeOf(error) || process.exitCode;
    if (!(error instanceof Interrupted)) throw error;
    log.info(error.message);
  } finally {
    interrupt.dispose();
  }
}
