/** Drawings that the page asks for: a queue, one process that draws, and the pictures, in memory. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { DrawOrder, FromWorker, ToWorker } from './draw-messages.js';
import { Problem } from './problem.js';
import type { Drawing, DrawRequest, UiEvent } from './protocol.js';

/** What of an order its drawing has not. */
export type Wanted = Omit<DrawOrder, 'kind' | 'number' | 'seed'>;

interface Entry {
  drawing: Drawing;
  readonly order: DrawOrder;
  png?: Uint8Array;
}

/** So many are kept, the newest; those that wait or are drawn do not count. */
const KEPT = 100;
const MOST_WAITING = 200;
/** A model takes gigabytes: it is closed when nobody has drawn for a while. */
const IDLE_MS = 5 * 60_000;
const OVER: readonly Drawing['state'][] = ['done', 'failed', 'cancelled'];

export class Drawings {
  /** by number, ascending */
  private readonly entries = new Map<number, Entry>();
  private readonly listeners = new Set<(event: UiEvent) => void>();
  private worker: ChildProcess | undefined;
  private idle: NodeJS.Timeout | undefined;
  private current: number | undefined;
  private count = 0;

  /** @param idleMs after which the process that draws ends */
  constructor(private readonly idleMs = IDLE_MS) {}

  /** @returns stops telling */
  listen(listener: (event: UiEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The newest first. */
  list(): Drawing[] {
    return [...this.entries.values()].map(({ drawing }) => drawing).reverse();
  }

  /** @param seeds one drawing each @throws Problem when too many wait */
  add(request: DrawRequest, wanted: Wanted, seeds: readonly number[]): Drawing[] {
    const waiting = [...this.entries.values()].filter(({ drawing }) => !OVER.includes(drawing.state)).length;
    if (waiting + seeds.length > MOST_WAITING)
      throw new Problem(409, `${waiting} drawings wait already; wait for them, or cancel some`);
    const added = seeds.map((seed): Drawing => {
      const number = ++this.count;
      const drawing: Drawing = { number, request, seed, state: 'queued', done: 0, total: wanted.steps };
      this.entries.set(number, { drawing, order: { ...wanted, kind: 'draw', number, seed } });
      this.tell(drawing);
      return drawing;
    });
    this.next();
    return added;
  }

  /** Cancels one that waits or is drawn; forgets one that is over. @throws Problem 404 */
  remove(number: number): void {
    const entry = this.entry(number);
    if (OVER.includes(entry.drawing.state)) this.entries.delete(number);
    else if (number === this.current) {
      this.send({ kind: 'cancel' });
      this.set(entry, { state: 'cancelled' });
    } else this.set(entry, { state: 'cancelled' });
  }

  /** Bytes of a PNG file. @throws Problem 404 while there is none */
  picture(number: number): Uint8Array {
    const { png } = this.entry(number);
    if (!png) throw new Problem(404, `drawing ${number} has no picture yet`);
    return png;
  }

  close(): void {
    clearTimeout(this.idle);
    this.worker?.removeAllListeners();
    this.worker?.kill('SIGKILL'); // in the middle of a computation it hears nothing else
    this.worker = undefined;
  }

  private entry(number: number): Entry {
    const entry = this.entries.get(number);
    if (!entry) throw new Problem(404, `no drawing ${number}`);
    return entry;
  }

  private next(): void {
    if (this.current !== undefined) return;
    clearTimeout(this.idle);
    const entry = [...this.entries.values()].find(({ drawing }) => drawing.state === 'queued');
    if (!entry) {
      this.idle = setTimeout(() => this.close(), this.idleMs).unref();
      return;
    }
    this.current = entry.drawing.number;
    this.set(entry, { state: 'opening' });
    this.send(entry.order);
  }

  private send(message: ToWorker): void {
    this.worker ??= this.start();
    this.worker.send(message);
  }

  private start(): ChildProcess {
    const worker = fork(fileURLToPath(new URL('draw-worker.js', import.meta.url)), {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced', // pictures as bytes
      execArgv: [],
      detached: true, // Ctrl-C of the terminal is for us
    });
    worker.on('message', (message: FromWorker) => this.hear(message));
    worker.on('error', (error) => this.lose(worker, error.message));
    worker.on('exit', (code, signal) =>
      this.lose(worker, `the process that draws ended (${signal ?? `code ${code}`}); is there enough memory?`),
    );
    return worker;
  }

  private hear(message: FromWorker): void {
    const entry = this.entries.get(message.number),
      isCancelled = entry === undefined || entry.drawing.state === 'cancelled';
    if (message.kind === 'step') {
      if (!isCancelled) this.set(entry, { state: 'drawing', done: message.done, total: message.total });
      return;
    }
    this.current = undefined;
    if (!isCancelled && message.kind === 'done') {
      entry.png = message.png;
      this.set(entry, { state: 'done', done: entry.drawing.total });
    } else if (!isCancelled && message.kind === 'failed') this.set(entry, { state: 'failed', error: message.error });
    this.forgetOld();
    this.next();
  }

  /** The process is gone: the next drawing starts another. */
  private lose(worker: ChildProcess, why: string): void {
    if (this.worker !== worker) return; // told once
    this.worker = undefined;
    const entry = this.entries.get(this.current ?? -1);
    this.current = undefined;
    if (entry && entry.drawing.state !== 'cancelled') this.set(entry, { state: 'failed', error: why });
    this.next();
  }

  private set(entry: Entry, change: Partial<Drawing>): void {
    entry.drawing = { ...entry.drawing, ...change };
    this.tell(entry.drawing);
  }

  private forgetOld(): void {
    const over = [...this.entries.values()].filter(({ drawing }) => OVER.includes(drawing.state));
    for (const { drawing } of over.slice(0, Math.max(0, over.length - KEPT))) this.entries.delete(drawing.number);
  }

  private tell(drawing: Drawing): void {
    for (const listener of this.listeners) listener({ kind: 'drawing', drawing });
  }
}
