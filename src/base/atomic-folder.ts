import { mkdir, readdir, readlink, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { UserError } from './errors.js';
import { announceLeftover, forgetLeftover } from './leftovers.js';
import { makeFolder } from './output-place.js';

/**
 * Fills a new folder so that it is whole or not there: `write` gets a folder beside it, which is renamed at the end.
 * Where `out` is a symbolic link, the link stays and the folder it leads to is filled.
 * @throws UserError when `out` has content already, is no folder, or cannot be written
 */
export async function writeFolderAtomic(out: string, write: (folder: string) => Promise<void>): Promise<void> {
  const given = resolve(out),
    existing = await requireNewFolder(out),
    to = await behindLinks(given),
    aside = `${to}.${process.pid}.tmp`;
  announceLeftover(aside);
  try {
    await makeFolder(dirname(to));
    await rm(aside, { recursive: true, force: true });
    await mkdir(aside);
    await write(aside);
    if (existing) await rmdir(to); // empty
    await rename(aside, to);
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined); // the first error is the one to tell
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (error instanceof UserError || !code || !syscall) throw error;
    throw new UserError(`${given}: cannot be written (${code}); is there space, and may you write there?`, {
      cause: error,
    });
  } finally {
    forgetLeftover(aside);
  }
}

/**
 * Commands ask before long work.
 * @returns whether there is an empty folder already @throws UserError when something else is in its place
 */
export async function requireNewFolder(out: string): Promise<boolean> {
  const path = resolve(out);
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    const what = error.code === 'ENOTDIR' ? ', for it is no folder' : '';
    throw new UserError(`${path}: cannot be used (${error.code})${what}; choose another folder`, { cause: error });
  });
  if (names && names.length > 0)
    throw new UserError(`${path}: exists and is not empty; choose another folder or remove it`, {
      code: 'OUTPUT_EXISTS',
    });
  return names !== undefined;
}

/** @throws UserError when something else than a folder is there, which files cannot go into */
export async function requireFolder(out: string): Promise<void> {
  const found = await stat(resolve(out)).catch(() => undefined);
  if (found && !found.isDirectory())
    throw new UserError(`${resolve(out)}: is there and is no folder; choose another folder`, { code: 'OUTPUT_EXISTS' });
}

/** `readdir` has followed the links: they do not go in a circle. */
async function behindLinks(path: string): Promise<string> {
  const target = await readlink(path).catch(() => undefined);
  return target === undefined ? path : behindLinks(resolve(dirname(path), target));
}
