/** Our own command line, as a process that is watched from outside. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChild, type ChildOptions } from './child.js';

const CLI = fileURLToPath(new URL('../tools/cli.js', import.meta.url));

export const diffengine = (args: readonly string[], child: ChildOptions): Promise<string> =>
  runChild(process.execPath, [CLI, ...args], child);

/** Iterations in the log of a run so far. */
export function iterations(workDir: string): number {
  try {
    return readFileSync(join(workDir, 'log.jsonl'), 'latin1').split('\n').length - 1;
  } catch {
    return 0; // not there yet
  }
}

export interface Watched {
  /** seconds from the command to its end */
  readonly wall_s: number;
}

/**
 * `diffengine train`; `look` is called every so many milliseconds while it runs.
 * @param set options of the config, `key=value`
 */
export async function train(
  config: string,
  workDir: string,
  set: readonly string[],
  child: ChildOptions,
  watch?: { readonly everyMs: number; look(pid: number, elapsed: number): void },
): Promise<Watched> {
  const start = performance.now(),
    elapsed = (): number => (performance.now() - start) / 1000;
  let timer: NodeJS.Timeout | undefined;
  try {
    const started = (pid: number): void => {
      if (watch) timer = setInterval(() => watch.look(pid, elapsed()), watch.everyMs);
    };
    await diffengine(['train', config, '--work-dir', workDir, ...(set.length > 0 ? ['--cfg-options', ...set] : [])], {
      ...child,
      started,
    });
    return { wall_s: elapsed() };
  } finally {
    clearInterval(timer);
  }
}
