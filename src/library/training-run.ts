/** A training run that goes on in the background: its events to read, its result to await. */
import { UserError } from '../base/errors.js';
import type { EmitEvent, TrainEvent } from '../engine/run-events.js';
import type { TrainResult } from '../engine/runner.js';
import { EventQueue } from './event-queue.js';

/**
 * What `train` gives. Await it for the result; or loop over it, `for await (const event of run)`, for its events, and
 * await it then. A run needs neither: it goes on alone, never waits for a reader, and keeps at most 1,024 unread events
 * (then lines and iterations go first, and an event of kind `dropped` says how many).
 *
 * An error ends the loop and rejects the promise. Leaving the loop early does not stop the run; its signal does.
 */
export class TrainingRun implements Promise<TrainResult>, AsyncIterable<TrainEvent> {
  readonly [Symbol.toStringTag] = 'TrainingRun';
  private readonly events = new EventQueue();
  private readonly result: Promise<TrainResult>;
  private isRead = false;
  /** Somebody will see how it ends. */
  private isAwaited = false;
  private failure: { readonly error: unknown } | undefined;

  /** @param work the run itself; starts at once, but not before the caller has the run in hands */
  constructor(work: (emit: EmitEvent) => Promise<TrainResult>) {
    this.result = Promise.resolve()
      .then(() => work((event) => this.events.push(event)))
      .finally(() => this.events.close());
    this.result.catch((error: unknown) => {
      this.failure = { error };
      this.complain();
    });
  }

  then<A = TrainResult, B = never>(
    onDone?: ((result: TrainResult) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.isAwaited = true;
    return this.result.then(onDone, onError);
  }

  catch<B = never>(onError?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<TrainResult | B> {
    return this.then(undefined, onError);
  }

  finally(onEnd?: (() => void) | null): Promise<TrainResult> {
    this.isAwaited = true;
    return this.result.finally(onEnd);
  }

  /** Each event once, to one loop at a time. @throws what the run throws, after the last event */
  async *[Symbol.asyncIterator](): AsyncGenerator<TrainEvent, void, void> {
    if (this.isRead) throw new UserError('train: a loop reads the events of this run already; read them in one place');
    this.isRead = true;
    try {
      for (let event = await this.events.next(); event; event = await this.events.next()) yield event;
      await this;
    } finally {
      this.isRead = false;
      this.complain();
    }
  }

  /** An error that nobody waits for must not vanish: Node reports it, as it does for any promise. */
  private complain(): void {
    if (this.failure && !this.isRead && !this.isAwaited) void Promise.reject(this.failure.error);
  }
}
