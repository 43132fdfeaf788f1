/** Lines on the terminal and in the log file of a run; a progress bar stays below the lines. */
import { appendFileSync } from 'node:fs';
import { MultiBar, type SingleBar } from 'cli-progress';
import type { Progress, RunLogger } from '../base/logger.js';

/** The part of a terminal stream that is used here. */
export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface ConsoleLoggerOptions {
  readonly out?: Output;
  readonly err?: Output;
  /** also show debug lines on the terminal; the file always has them */
  readonly debug?: boolean;
}

export class ConsoleLogger implements RunLogger {
  private readonly out: Output;
  private readonly err: Output;
  private readonly showDebug: boolean;
  private file: string | undefined;
  private bars: MultiBar | undefined;
  private readonly shown = new Set<SingleBar>();

  constructor({ out = process.stdout, err = process.stderr, debug = false }: ConsoleLoggerOptions = {}) {
    this.out = out;
    this.err = err;
    this.showDebug = debug;
  }

  writeTo(file: string): void {
    this.file = file;
  }

  info(message: string): void {
    this.line('INFO', message, this.out, message);
  }
  warn(message: string): void {
    this.line('WARNING', message, this.err, `warning: ${message}`);
  }
  debug(message: string): void {
    this.line('DEBUG', message, this.showDebug ? this.out : undefined, message);
  }

  progress(total: number, start: number): Progress | undefined {
    if (!this.out.isTTY) return undefined;
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

  private line(level: string, message: string, stream: Output | undefined, shown: string): void {
    if (this.file !== undefined) {
      try {
        appendFileSync(this.file, `${new Date().toISOString()} ${level} ${message}\n`);
      } catch {
        this.file = undefined; // a full disk ends the log file, not the run; saving reports it
      }
    }
    if (!stream) return;
    if (!this.bars) {
      stream.write(`${shown}\n`);
      return;
    }
    this.bars.log(`${shown}\n`);
    this.bars.update(); // now: what waits for the next redraw is lost when the bars stop
  }
}
