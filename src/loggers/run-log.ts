/** The log of one run: its caller's logger, a file in the work dir, and the program that listens. */
import { appendFileSync } from 'node:fs';
import { startProgress, type Logger, type Progress, type RunLogger } from '../base/logger.js';

export type Level = 'info' | 'warn' | 'debug';

const NAMES = { info: 'INFO', warn: 'WARNING', debug: 'DEBUG' } as const;

export class RunLog implements RunLogger {
  private file: string | undefined;

  /** @param shown where lines are shown, as far as it shows them @param heard is told every line */
  constructor(
    private readonly shown: Logger,
    private readonly heard: (level: Level, message: string) => void = () => {},
  ) {}

  writeTo(file: string): void {
    this.file = file;
  }

  info = (message: string): void => this.line('info', message);
  warn = (message: string): void => this.line('warn', message);
  debug = (message: string): void => this.line('debug', message);

  progress(total: number, start: number): Progress | undefined {
    return startProgress(this.shown, total, start);
  }

  private line(level: Level, message: string): void {
    if (this.file !== undefined) {
      try {
        appendFileSync(this.file, `${new Date().toISOString()} ${NAMES[level]} ${message}\n`);
      } catch {
        this.file = undefined; // a full disk ends the log file, not the run; saving reports it
      }
    }
    this.heard(level, message);
    this.shown[level](message);
  }
}
