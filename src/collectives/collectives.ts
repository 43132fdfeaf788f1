/**
 * Several processes that train one model: their ranks, and what they do together. Every function that waits for the others
 * must be called by all ranks, in the same order.
 */
import { UserError, type ErrorCode } from '../base/errors.js';

export interface Collectives {
  /** number of processes */
  readonly size: number;
  /** 0 to size - 1; rank 0 writes and speaks */
  readonly rank: number;
  /** rank among those of the same machine, and how many they are */
  readonly localRank: number;
  readonly localSize: number;
  readonly host: string;
  /** what connects them, for the log */
  readonly library: string;
  /** Aborted on all ranks at the same point, once any of them was asked to stop. Its reason's message is the signal's name. */
  readonly stop: AbortSignal;

  /** @param data in rank `from`: what all others have in theirs afterwards; of one length */
  broadcast(data: Uint8Array, from?: number): Promise<void>;
  /** What each rank gave, by rank; lengths may differ. */
  allGather(data: Uint8Array): Promise<Uint8Array[]>;
  /** Replaces `data`, of one length, by its sum over ranks, added in their order: all hold the same bits afterwards. */
  orderedSum(data: Float32Array): Promise<void>;
  max(value: number): Promise<number>;
  barrier(): Promise<void>;

  /** Asks all ranks to stop, at their next common point. @param reason the signal's name */
  askToStop(reason: StopReason): void;
  /** Tells all ranks of an error of this one. @returns what this rank ends with: on rank 0 an error to show, on others one that is told there */
  fail(error: unknown): Promise<Error>;
  /** Leaves the others in peace; the last call. */
  finalize(): Promise<void>;
}

/** Signals that ask a run to stop; of several, the last in this list counts. */
export const STOP_REASONS = ['SIGUSR1', 'SIGINT', 'SIGTERM'] as const;
export type StopReason = (typeof STOP_REASONS)[number];

/** An error of another rank, or one that rank 0 shows for this rank. */
export class RankError extends UserError {
  override readonly name = 'RankError';

  /** @param isTold another rank shows it */
  constructor(
    message: string,
    readonly isTold: boolean,
    options: { readonly code: ErrorCode; readonly cause?: unknown },
  ) {
    super(message, options);
  }
}

/** One process alone. */
export const ALONE: Collectives = {
  size: 1,
  rank: 0,
  localRank: 0,
  localSize: 1,
  host: '',
  library: 'none',
  stop: new AbortController().signal,
  broadcast: async () => {},
  allGather: async (data) => [data],
  orderedSum: async () => {},
  max: async (value) => value,
  barrier: async () => {},
  askToStop: () => {},
  fail: async (error) => error as Error,
  finalize: async () => {},
};

/** Of each rank, what it gives; values as JSON holds them. */
export async function gatherJson<T>(ranks: Collectives, value: T): Promise<T[]> {
  if (ranks.size === 1) return [value];
  const all = await ranks.allGather(Buffer.from(JSON.stringify(value ?? null)));
  return all.map((bytes) => JSON.parse(Buffer.from(bytes).toString()) as T);
}

/** What rank 0 finds, told to all; values as JSON holds them. */
export async function fromFirst<T>(ranks: Collectives, find: () => Promise<T>): Promise<T> {
  if (ranks.size === 1) return find();
  const [found] = await gatherJson(ranks, ranks.rank === 0 ? { value: await find() } : {});
  return (found as { value: T }).value;
}

/** One rank of each machine works first: what it downloads or caches, the others find. */
export async function firstOfHost<T>(ranks: Collectives, work: () => Promise<T>): Promise<T> {
  if (ranks.localRank !== 0) {
    await ranks.barrier();
    return work();
  }
  const done = await work();
  await ranks.barrier();
  return done;
}

/** Means over ranks, added in their order; all give the same keys. */
export async function meanOverRanks(
  ranks: Collectives,
  values: Readonly<Record<string, number>>,
): Promise<Record<string, number>> {
  if (ranks.size === 1) return { ...values };
  const names = Object.keys(values).sort(),
    mine = new Float64Array(names.map((name) => values[name]));
  const all = await ranks.allGather(new Uint8Array(mine.buffer));
  const rows = all.map((bytes) => new Float64Array(bytes.buffer, bytes.byteOffset, names.length));
  const mean = (i: number): number => rows.reduce((sum, row) => sum + row[i], 0) / ranks.size;
  return Object.fromEntries(names.map((name, i) => [name, mean(i)]));
}
