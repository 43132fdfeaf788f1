/** Where diffengine keeps what it can make again. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** `$DIFFENGINE_CACHE`, else `diffengine` in `$XDG_CACHE_HOME` or `~/.cache`. */
export function defaultCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env.DIFFENGINE_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'diffengine'));
}
