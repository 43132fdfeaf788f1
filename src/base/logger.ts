/** Where a run says what it does, and how far it is. */
export interface Logger {
  info(message: string): void;
  warn(message: string): void;
  debug(message: string): void;
}

/** Says nothing. */
export const SILENT: Logger = { info: () => {}, warn: () => {}, debug: () => {} };

export interface Progress {
  /** @param done of the total @param text what stands beside the bar: pieces with two spaces between, the most important first */
  update(done: number, text: string): void;
  stop(): void;
}

/** A logger that can show a bar below its lines. */
export interface ProgressLogger extends Logger {
  /** @param total 0: not known, so that only the text is shown @returns undefined where bars make no sense: not a terminal */
  progress(total: number, start: number): Progress | undefined;
}

/** A bar where the logger has one to offer. */
export function startProgress(log: Logger, total: number, start = 0): Progress | undefined {
  return 'progress' in log ? (log as ProgressLogger).progress(total, start) : undefined;
}

/** The logger of a whole run: it also keeps a file. */
export interface RunLogger extends ProgressLogger {
  /** From now on, lines are also appended to this file, with the time. */
  writeTo(file: string): void;
}
