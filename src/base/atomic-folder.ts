import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { UserError } from './errors.js';

/**
 * Fills a new folder so that it is whole or not there: `write` gets a folder beside it, which is renamed at the end.
 * @throws UserError when `out` has content already, or cannot be written
 */
export async function writeFolderAtomic(out: string, write: (folder: string) => Promise<void>): Promise<void> {
  const to = resolve(out),
    aside = `${to}.${process.pid}.tmp`;
  const existing = await readdir(to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT')
      throw new UserError(`${to}: cannot be used (${error.code}); choose another folder`, { cause: error });
  });
  if (existing && existing.length > 0)
    throw new UserError(`${to}: exists and is not empty; choose another folder or remove it`);
  try {
    await mkdir(aside, { recursive: true });
    await write(aside);
    if (existing) await rmdir(to); // empty
    await rename(aside, to);
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined); // the first error is the one to tell
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (error instanceof UserError || !code || !syscall) throw error;
    throw new UserError(`${to}: cannot be written (${code}); is there space, and may you write there?`, {
      cause: error,
    });
  }
}
