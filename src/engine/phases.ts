/** Where the time of a run goes. */
import type { Backend } from '../backends/backend.js';
import type { Collectives } from '../collectives/collectives.js';

/** In the work dir: seconds by phase, of the process that wrote it last. */
export const PHASES_FILE = 'phases.json';

/** Seconds by phase. A phase inside another counts for itself only, so that the parts sum up to the whole. */
export class Phases {
  private readonly spent = new Map<string, number>();
  private readonly open: { readonly phase: string; readonly since: number }[] = [];
  private since = 0;

  /** @param now milliseconds */
  constructor(private readonly now: () => number = () => performance.now()) {}

  async measure<T>(phase: string, work: () => Promise<T>): Promise<T> {
    this.settle();
    const opened = { phase, since: this.since };
    this.open.push(opened);
    try {
      return await work();
    } finally {
      this.settle();
      this.open.splice(this.open.lastIndexOf(opened), 1);
    }
  }

  /** What is being done now, and for how long. */
  get innermost(): { readonly phase: string; readonly seconds: number } | undefined {
    const inner = this.open.at(-1);
    return inner && { phase: inner.phase, seconds: (this.now() - inner.since) / 1000 };
  }

  /** In the order in which they began. */
  get seconds(): Record<string, number> {
    return Object.fromEntries([...this.spent].map(([phase, ms]) => [phase, Math.round(ms) / 1000]));
  }

  /** "12.3 s: steps 10.1 s, compile 1.5 s", the longest first, without what is under a hundredth of the whole. */
  toString(): string {
    const total = [...this.spent.values()].reduce((a, b) => a + b, 0),
      text = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
    const shown = [...this.spent].filter(([, ms]) => ms >= total / 100).sort(([, a], [, b]) => b - a);
    return `${text(total)}: ${shown.map(([phase, ms]) => `${phase} ${text(ms)}`).join(', ')}`;
  }

  /** Gives the time since the last look to the innermost phase. */
  private settle(): void {
    const now = this.now(),
      inner = this.open.at(-1)?.phase;
    if (inner !== undefined) this.spent.set(inner, (this.spent.get(inner) ?? 0) + now - this.since);
    this.since = now;
  }
}

/** Ranks whose talk is a phase: what travels, and waiting for the slower ones. */
export function timedRanks(ranks: Collectives, phases: Phases): Collectives {
  if (ranks.size === 1) return ranks;
  const exchange = <T>(work: () => Promise<T>): Promise<T> => phases.measure('exchange', work);
  const { size, rank, localRank, localSize, host, library, stop } = ranks;
  return {
    ...{ size, rank, localRank, localSize, host, library, stop },
    broadcast: (data, from) => exchange(() => ranks.broadcast(data, from)),
    allGather: (data) => exchange(() => ranks.allGather(data)),
    orderedSum: (data) => exchange(() => ranks.orderedSum(data)),
    max: (value) => exchange(() => ranks.max(value)),
    barrier: () => exchange(() => ranks.barrier()),
    askToStop: (reason) => ranks.askToStop(reason),
    fail: (error) => ranks.fail(error),
    finalize: () => ranks.finalize(),
  };
}

/** A backend whose compilation is a phase, whoever asks for it. */
export function timed(backend: Backend, phases: Phases): Backend {
  return {
    get name() {
      return backend.name;
    }, // TfjsBackend's says more once it has been opened
    states: backend.states,
    compile: (program) => phases.measure('compile', () => backend.compile(program)),
    dispose: () => backend.dispose(),
  };
}
