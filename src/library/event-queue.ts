/** Events between a run and who reads them: the run never waits, and what nobody reads does not pile up. */
import type { TrainEvent } from '../engine/run-events.js';

/** Events that wait at most. */
export const MOST_WAITING = 1024;

export class EventQueue {
  private readonly waiting: TrainEvent[] = [];
  private dropped = 0;
  private isClosed = false;
  private wake: () => void = () => {};

  push(event: TrainEvent): void {
    this.waiting.push(event);
    if (this.waiting.length > MOST_WAITING) this.drop();
    this.wake();
  }

  /** There is no more to come. */
  close(): void {
    this.isClosed = true;
    this.wake();
  }

  /** The next event, once there is one; undefined at the end. */
  async next(): Promise<TrainEvent | undefined> {
    if (this.dropped > 0) {
      const count = this.dropped;
      this.dropped = 0;
      return { kind: 'dropped', iter: this.waiting[0].iter, count };
    }
    while (this.waiting.length === 0 && !this.isClosed) await new Promise<void>((resolve) => (this.wake = resolve));
    return this.waiting.shift();
  }

  /** The oldest of those that come often, for a checkpoint's path is worth more than a line. */
  private drop(): void {
    const often = this.waiting.findIndex(({ kind }) => kind === 'iter' || kind === 'log');
    this.waiting.splice(Math.max(0, often), 1);
    this.dropped++;
  }
}
