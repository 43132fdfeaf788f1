import { randomBytes } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { UserError } from './errors.js';
import { announceLeftover, forgetLeftover } from './leftovers.js';
import { makeFolder, openStream, outputPlace } from './output-place.js';
import { syncFile } from './sync-file.js';

type Content = Uint8Array | string | ((file: FileHandle) => Promise<void>);

/**
 * Writes a file so that readers see either nothing, the old content or all of the new content, even after a kill or a
 * power cut: written aside in the same folder, synced, renamed. Creates the folder. A symbolic link stays and its target
 * is written; a pipe or a character device is written through, front to back, and stays too.
 * @param data the content, or what writes it in order; an error of its own is passed on
 * @throws UserError when the disk is full, the folder read-only, the name a folder's, a socket's, a disk's, ...
 */
export async function writeFileAtomic(path: string, data: Content): Promise<void> {
  try {
    const place = await outputPlace(path);
    await (place.kind === 'stream' ? writeThrough(place.path, data) : replace(place.path, data));
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (error instanceof UserError || !code || !syscall) throw error;
    throw new UserError(`${path}: cannot be written (${code}); is there space, and may you write there?`, {
      cause: error,
    });
  }
}

async function replace(path: string, data: Content): Promise<void> {
  const aside = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  announceLeftover(aside);
  try {
    await makeFolder(dirname(resolve(path)));
    const file = await open(aside, 'wx');
    try {
      await fill(file, data);
      await syncFile(file);
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true }).catch(() => undefined); // the first error is the one to tell
    throw error;
  } finally {
    forgetLeftover(aside);
  }
}

async function writeThrough(path: string, data: Content): Promise<void> {
  const file = await openStream(path);
  try {
    await fill(file, data);
  } finally {
    await file.close();
  }
}

const fill = (file: FileHandle, data: Content): Promise<void> =>
  typeof data === 'function' ? data(file) : file.writeFile(data);
