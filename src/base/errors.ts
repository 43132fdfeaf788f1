/**
 * What a program can tell apart, by `UserError.code`. Names stay as they are from one version to the next;
 * messages are for people, and may change.
 */
export const ERROR_CODES = {
  INVALID_INPUT: 'an argument, a picture or a table is not as it must be; the message says what to change',
  CONFIG_INVALID: 'a config, or an option of it, is wrong; the message has one line per mistake',
  CONFIG_NOT_FOUND: 'no config file, and no built-in config, of that name',
  FILE_NOT_FOUND: 'a file or folder that was named is not there',
  FILE_INVALID: 'a file is there, and is damaged, incomplete, or of a kind that is not supported',
  FILE_ACCESS: 'the system refuses to read or write: permissions, a read-only disk, a file where a folder must be',
  DISK_FULL: 'no space is left, or the quota is used up',
  OUTPUT_EXISTS: 'something is there already, where new files were to be written',
  WORK_DIR_IN_USE: 'another run is writing to this work dir',
  MODEL_MISMATCH: 'a checkpoint or an adapter belongs to another model',
  DOWNLOAD_FAILED: 'the hub cannot be reached, has no such model or data set, or wants a token',
  BACKEND_UNAVAILABLE: 'what should compute is not installed, or its device is not there',
  LOSS_NOT_FINITE: 'training diverged: the loss or the gradients are no numbers any more',
  OUT_OF_MEMORY: 'a planned run does not fit into memory',
  INTERRUPTED: 'an AbortSignal, Ctrl-C or SIGTERM stopped the work',
} as const;
export type ErrorCode = keyof typeof ERROR_CODES;

export interface UserErrorOptions {
  /** by default that of the cause: of a `UserError`, or of what the file system refused; else INVALID_INPUT */
  readonly code?: ErrorCode;
  readonly cause?: unknown;
}

/**
 * An error the user can act on. The command line prints its message without a stack and exits 1.
 * Message form: `<where>: <what, with the actual value>; <fix or nearest valid>`.
 */
export class UserError extends Error {
  override readonly name: string = 'UserError';
  /** Tells a program what went wrong. */
  readonly code: ErrorCode;

  constructor(message: string, { code, ...options }: UserErrorOptions = {}) {
    super(message, 'cause' in options ? options : undefined);
    this.code = code ?? codeOf(options.cause);
  }
}

/** A file is there, and cannot be used: code FILE_INVALID, unless the cause says that it is not there, or not to be read. */
export class FileError extends UserError {
  constructor(message: string, options: UserErrorOptions = {}) {
    super(message, { code: codeOf(options.cause, 'FILE_INVALID'), ...options });
  }
}

/** The work was asked to stop (an AbortSignal, Ctrl-C, SIGTERM); a training run has saved what it had. */
export class Interrupted extends UserError {
  override readonly name = 'Interrupted';

  constructor(message: string, options: Omit<UserErrorOptions, 'code'> = {}) {
    super(message, { ...options, code: 'INTERRUPTED' });
  }
}

/** @throws Interrupted when the signal is aborted @param what is stopped, for the message: `evaluate` */
export function stopIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted)
    throw new Interrupted(`${what}: stopped, as asked; nothing was written`, { cause: signal.reason });
}

/** What the file system says: errno(3). */
const OF_ERRNO: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'FILE_NOT_FOUND',
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  EACCES: 'FILE_ACCESS',
  EPERM: 'FILE_ACCESS',
  EROFS: 'FILE_ACCESS',
  EISDIR: 'FILE_ACCESS',
  ENOTDIR: 'FILE_ACCESS',
  EEXIST: 'FILE_ACCESS',
};

function codeOf(cause: unknown, otherwise: ErrorCode = 'INVALID_INPUT'): ErrorCode {
  if (cause instanceof UserError) return cause.code;
  return OF_ERRNO[(cause as NodeJS.ErrnoException | undefined)?.code ?? ''] ?? otherwise;
}
