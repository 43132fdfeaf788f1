/** Processes that are measured. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableMegabytes } from './machine.js';
import { LEAST_FREE_MB } from './cases.js';

export interface ChildOptions {
  readonly signal: AbortSignal;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** is told the process */
  readonly started?: (pid: number) => void;
}

/** A child ended by us, because memory was about to run out. */
export class OutOfMemory extends Error {}

/**
 * @returns standard output
 * @throws OutOfMemory; Error with the last line that it wrote to standard error; the signal's reason
 */
export async function runChild(
  command: string,
  args: readonly string[],
  { signal, env, cwd, started }: ChildOptions,
): Promise<string> {
  signal.throwIfAborted();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env }, cwd });
  let out = '',
    err = '',
    starved = false;
  child.stdout.on('data', (data: Buffer) => (out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (err = (err + data.toString()).slice(-4000)));
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  const guard = setInterval(() => {
    if (availableMegabytes() >= LEAST_FREE_MB) return;
    starved = true;
    stop();
  }, 200);
  try {
    const ended = once(child, 'close') as Promise<[number | null, string | null]>;
    if (child.pid !== undefined) started?.(child.pid);
    const [code, killer] = await ended;
    signal.throwIfAborted();
    if (starved) throw new OutOfMemory(`stopped: less than ${LEAST_FREE_MB} MB of memory were left`);
    if (code !== 0)
      throw new Error(`${command} ended with ${killer ?? `code ${code}`}: ${err.trim().split('\n').at(-1) ?? ''}`);
    return out;
  } finally {
    clearInterval(guard);
    signal.removeEventListener('abort', stop);
  }
}

/** The JSON object on the last line of standard output. */
export async function runForJson<T>(command: string, args: readonly string[], options: ChildOptions): Promise<T> {
  return JSON.parse((await runChild(command, args, options)).trim().split('\n').at(-1) ?? '') as T;
}
