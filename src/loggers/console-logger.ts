/** Lines on the terminal; progress bars stay below them. */
import { MultiBar, type Options, type Params, type SingleBar } from 'cli-progress';
import type { Progress, ProgressLogger } from '../base/logger.js';
import { fitted } from './fit.js';

/** The part of a terminal stream that is used here. */
export interface Output {
  readonly isTTY?: boolean;
  /** signs in a line */
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ConsoleLoggerOptions {
  readonly out?: Output;
  readonly err?: Output;
  /** also show debug lines */
  readonly debug?: boolean;
  /** Bars need a terminal that can move its cursor and somebody who looks at it: none with `CI=true` and `TERM=dumb`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** false: no progress bars, though the output says that it is a terminal, as below mpirun */
  readonly bars?: boolean;
}

export class ConsoleLogger implements ProgressLogger {
  private readonly out: Output;
  private readonly err: Output;
  private readonly showDebug: boolean;
  private readonly showsBars: boolean;
  private bars: MultiBar | undefined;
  private readonly shown = new Set<SingleBar>();

  constructor({
    out = process.stdout,
    err = process.stderr,
    debug = false,
    bars = true,
    env = process.env,
  }: ConsoleLoggerOptions = {}) {
    this.out = out;
    this.err = err;
    this.showDebug = debug;
    this.showsBars = bars && out.isTTY === true && env['TERM'] !== 'dumb' && !isSet(env['CI']);
  }

  info(message: string): void {
    this.line(this.out, message);
  }
  warn(message: string): void {
    this.line(this.err, `warning: ${message}`);
  }
  debug(message: string): void {
    if (this.showDebug) this.line(this.out, message);
  }

  progress(total: number, start: number): Progress | undefined {
    if (!this.showsBars) return undefined;
    const bars = (this.bars ??= new MultiBar({
      format: (_options: Options, { progress, total }: Params, payload: { text: string }) =>
        fitted(payload.text, total > 0 ? progress : undefined, (this.out.columns ?? DEFAULT_COLUMNS) - 1),
      stream: this.out as NodeJS.WriteStream,
      hideCursor: false, // whatever ends the process, the terminal has its cursor
      linewrap: true, // else the terminal cuts long lines while a bar is up
      clearOnComplete: true,
      gracefulExit: false, // signals belong to the run
    }));
    const bar = bars.create(total, start, { text: '' });
    this.shown.add(bar);
    return {
      update: (done, text) => {
        bar.update(done, { text });
      },
      stop: () => {
        if (this.shown.delete(bar)) this.remove(bars, bar);
      },
    };
  }

  private remove(bars: MultiBar, bar: SingleBar): void {
    if (this.shown.size > 0) {
      bars.remove(bar);
      return;
    }
    bars.stop();
    this.bars = undefined;
  }

  private line(stream: Output, text: string): void {
    if (!this.bars || !stream.isTTY) {
      stream.write(`${text}\n`);
      return;
    }
    this.bars.log(`${CLEAR_BELOW}${text}\n`);
    this.bars.update(); // now: what waits for the next redraw is lost when the bars stop
  }
}

const DEFAULT_COLUMNS = 80;
/** A long line takes the place of the bars below it. */
const CLEAR_BELOW = '\x1b[J';

const isSet = (value: string | undefined): boolean => value !== undefined && !['', '0', 'false'].includes(value);
