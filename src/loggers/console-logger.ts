/** Lines on the terminal; a progress bar stays below them. */
import { MultiBar, type SingleBar } from 'cli-progress';
import type { Progress, ProgressLogger } from '../base/logger.js';

/** The part of a terminal stream that is used here. */
export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface ConsoleLoggerOptions {
  readonly out?: Output;
  readonly err?: Output;
  /** also show debug lines */
  readonly debug?: boolean;
  /** false: no progress bars, though the output says that it is a terminal, as below mpirun */
  readonly bars?: boolean;
}

export class ConsoleLogger implements ProgressLogger {
  private readonly out: Output;
  private readonly err: Output;
  private readonly showDebug: boolean;
  private readonly showBars: boolean;
  private bars: MultiBar | undefined;
  private readonly shown = new Set<SingleBar>();

  constructor({ out = process.stdout, err = process.stderr, debug = false, bars = true }: ConsoleLoggerOptions = {}) {
    this.out = out;
    this.err = err;
    this.showDebug = debug;
    this.showBars = bars;
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
    if (!this.out.isTTY || !this.showBars) return undefined;
    const bars = (this.bars ??= new MultiBar({
      format: '{bar} {value}/{total}  {text}',
      stream: this.out as NodeJS.WriteStream,
      hideCursor: true,
      barsize: 20,
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

  /** The last bar stays on the screen as it was; others vanish. */
  private remove(bars: MultiBar, bar: SingleBar): void {
    if (this.shown.size > 0) {
      bars.remove(bar);
      return;
    }
    bars.stop();
    this.bars = undefined;
  }

  private line(stream: Output, text: string): void {
    if (!this.bars) {
      stream.write(`${text}\n`);
      return;
    }
    this.bars.log(`${text}\n`);
    this.bars.update(); // now: what waits for the next redraw is lost when the bars stop
  }
}
