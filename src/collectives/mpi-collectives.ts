/**
 * Collectives over MPI. Before each of them the ranks meet: a gather of a few bytes that is polled, not waited for, so that
 * a rank that waits for a slow one computes nothing, hears signals, and learns what the others have to say: that they were
 * asked to stop, or that they failed. What follows takes no longer than the data travels.
 */
import { UserError, type ErrorCode } from '../base/errors.js';
import { RankError, STOP_REASONS, type Collectives, type StopReason } from './collectives.js';
import { thisHost } from './launchers.js';
import type { MpiLibrary } from './mpi-library.js';

/** Bytes of one exchange: what a large sum needs beside its data is twice this. */
export const CHUNK_BYTES = 16 * 2 ** 20;
/** What each rank says when they meet: index of the stop reason + 1, and whether it failed. At least 64 bytes, so that V8 does not move it. */
const WORD_BYTES = 64;
/** Polls before the thread is left to others, and the longest pause between polls after that. */
const QUICK_POLLS = 200,
  LONGEST_PAUSE_MS = 5;
/** A rank that fails waits so long for the others to meet it, so that rank 0 can save; then it ends all. */
const PATIENCE_MS = 8000;

interface Failure {
  readonly message: string;
  readonly code: ErrorCode;
}

export class MpiCollectives implements Collectives {
  readonly rank: number;
  readonly size: number;
  readonly host = thisHost();
  readonly library: string;
  localRank = 0;
  localSize = 1;
  private readonly stopping = new AbortController();
  private readonly word = new Uint8Array(WORD_BYTES);
  private readonly words: Uint8Array;
  private readonly sendScratch = new Uint8Array(CHUNK_BYTES);
  private readonly receiveScratch = new Uint8Array(CHUNK_BYTES);
  private ended = false;
  /** Told to all; nothing is done together after it. */
  private failure: RankError | undefined;
  private own: unknown;
  private busy = false;

  /** @param mpi initialised */
  constructor(private readonly mpi: MpiLibrary) {
    this.rank = mpi.rank();
    this.size = mpi.size();
    this.library = mpi.version;
    this.words = new Uint8Array(WORD_BYTES * this.size);
    process.on('exit', this.onExit);
  }

  /** Finds out which ranks share a machine. */
  async open(): Promise<this> {
    const hosts = (await this.allGather(Buffer.from(this.host))).map(String),
      here = hosts.flatMap((host, rank) => (host === hosts[this.rank] ? [rank] : []));
    this.localRank = here.indexOf(this.rank);
    this.localSize = here.length;
    return this;
  }

  get stop(): AbortSignal {
    return this.stopping.signal;
  }

  askToStop(reason: StopReason): void {
    this.word[0] = Math.max(this.word[0], STOP_REASONS.indexOf(reason) + 1);
  }

  async barrier(): Promise<void> {
    await this.together(() => {});
  }

  async broadcast(data: Uint8Array, from = 0): Promise<void> {
    await this.together(() => this.send(data, from));
  }

  async allGather(data: Uint8Array): Promise<Uint8Array[]> {
    return this.together(() => {
      const lengths = this.lengths(data.byteLength),
        longest = Math.max(...lengths);
      if (longest * this.size <= CHUNK_BYTES) return this.gatherShort(data, lengths, longest);
      return lengths.map((length, rank) => {
        const part = rank === this.rank ? Uint8Array.from(data) : new Uint8Array(length);
        this.send(part, rank);
        return part;
      });
    });
  }

  async max(value: number): Promise<number> {
    const mine = new Float64Array([value]);
    const all = await this.allGather(new Uint8Array(mine.buffer));
    return Math.max(...all.map((bytes) => new Float64Array(bytes.buffer)[0]));
  }

  /** In pieces: each rank adds a part of the piece, in rank order, and all gather the sums. */
  async orderedSum(data: Float32Array): Promise<void> {
    await this.together(() => {
      const part = Math.max(1, Math.floor(CHUNK_BYTES / 4 / this.size)),
        piece = part * this.size;
      for (let from = 0; from < data.length; from += piece) {
        const count = Math.min(piece, data.length - from),
          share = Math.ceil(count / this.size);
        const send = new Float32Array(this.sendScratch.buffer, 0, share * this.size),
          received = new Float32Array(this.receiveScratch.buffer, 0, share * this.size);
        send.set(data.subarray(from, from + count));
        this.mpi.allToAll(send, received, share * 4);
        const sum = received.subarray(0, share);
        for (let rank = 1; rank < this.size; rank++) {
          const at = rank * share;
          for (let i = 0; i < share; i++) sum[i] += received[at + i];
        }
        this.mpi.allGather(sum, send, share * 4);
        data.set(send.subarray(0, count), from);
      }
    });
  }

  async fail(error: unknown): Promise<Error> {
    if (this.failure) return this.failure;
    this.own = error;
    this.word[1] = 1;
    const impatient = setTimeout(() => this.end(error), PATIENCE_MS);
    await this.barrier().catch(() => undefined);
    clearTimeout(impatient);
    return this.failure ?? (error as Error);
  }

  async finalize(): Promise<void> {
    if (this.ended) return;
    await this.meet(); // rank 0 may be saving still
    this.ended = true;
    process.off('exit', this.onExit);
    this.mpi.finalize();
  }

  /** Ends all ranks at once. */
  private end(error: unknown): void {
    process.stderr.write(`diffengine: ${this.said(error)}\n`);
    this.ended = true;
    this.mpi.abort(1);
  }

  private said(error: unknown): string {
    return `rank ${this.rank} on ${this.host}: ${error instanceof Error ? error.message : String(error)}`;
  }

  /** A process that ends without a word would leave the others waiting. */
  private readonly onExit = (code: number): void => {
    if (!this.ended) this.mpi.abort(code || 1);
  };

  /** @throws RankError when a rank has failed */
  private async together<T>(work: () => T): Promise<T> {
    if (this.failure) throw this.failure;
    if (this.busy) throw new Error('collectives: called while another call waits; await one after the other');
    this.busy = true;
    try {
      await this.meet();
      const failed = this.find(1);
      if (failed !== undefined) throw (this.failure = this.learn(failed));
      return work();
    } finally {
      this.busy = false;
    }
  }

  private async meet(): Promise<void> {
    const isDone = this.mpi.startAllGather(this.word, this.words);
    for (let polls = 0; !isDone(); polls++) {
      if (polls < QUICK_POLLS) continue;
      const pause = Math.min(LONGEST_PAUSE_MS, (polls - QUICK_POLLS) / 50);
      await new Promise<void>((resolve) => (pause < 1 ? setImmediate(resolve) : setTimeout(resolve, pause)));
    }
    const reason = Math.max(...Array.from({ length: this.size }, (_, rank) => this.words[rank * WORD_BYTES]));
    if (reason > 0 && !this.stopping.signal.aborted) this.stopping.abort(new Error(STOP_REASONS[reason - 1]));
  }

  /** The first rank whose word has something at `place`. */
  private find(place: number): number | undefined {
    const rank = Array.from({ length: this.size }, (_, r) => this.words[r * WORD_BYTES + place]).findIndex(
      (v) => v > 0,
    );
    return rank < 0 ? undefined : rank;
  }

  /** All ranks are here, and learn what happened on one of them. */
  private learn(from: number): RankError {
    const everywhere = Array.from({ length: this.size }, (_, r) => this.words[r * WORD_BYTES + 1]).every((v) => v > 0);
    const { own } = this,
      mine: Failure | undefined =
        own === undefined
          ? undefined
          : {
              message: everywhere && own instanceof Error ? own.message : this.said(own),
              code: own instanceof UserError ? own.code : 'INVALID_INPUT',
            };
    const text = Buffer.from(JSON.stringify(mine ?? null)),
      length = this.lengths(text.byteLength)[from];
    const told = from === this.rank ? text : Buffer.alloc(length);
    this.send(told, from);
    const { message, code } = JSON.parse(told.toString()) as Failure;
    return new RankError(message, this.rank !== 0, { code, ...(own === undefined ? {} : { cause: own }) });
  }

  private lengths(mine: number): number[] {
    const send = new Float64Array(this.sendScratch.buffer, 0, 1),
      all = new Float64Array(this.receiveScratch.buffer, 0, this.size);
    send[0] = mine;
    this.mpi.allGather(send, all, 8);
    return [...all];
  }

  /** At once, each filled up to the longest. */
  private gatherShort(data: Uint8Array, lengths: readonly number[], longest: number): Uint8Array[] {
    if (longest === 0) return lengths.map(() => new Uint8Array(0));
    this.sendScratch.set(data);
    this.mpi.allGather(this.sendScratch, this.receiveScratch, longest);
    return lengths.map((length, rank) => this.receiveScratch.slice(rank * longest, rank * longest + length));
  }

  /** In pieces, through memory that does not move. */
  private send(data: Uint8Array, from: number): void {
    for (let at = 0; at < data.byteLength; at += CHUNK_BYTES) {
      const piece = data.subarray(at, at + CHUNK_BYTES),
        scratch = this.sendScratch.subarray(0, piece.byteLength);
      if (from === this.rank) scratch.set(piece);
      this.mpi.broadcast(scratch, piece.byteLength, from);
      if (from !== this.rank) piece.set(scratch);
    }
  }
}
