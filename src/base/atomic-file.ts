import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError } from './errors.js';

/**
 * Writes a file so that readers see either nothing, the old content or all of the new content, even after a kill or a
 * power cut: written aside in the same folder, synced, renamed. Creates the folder.
 * @param data the content, or what writes it; an error of its own is passed on
 * @throws UserError when the disk is full, the folder read-only, the name a folder's, ...
 */
export async function writeFileAtomic(
  path: string,
  data: Uint8Array | string | ((file: FileHandle) => Promise<void>),
): Promise<void> {
  const aside = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(aside, 'wx');
    try {
      await (typeof data === 'function' ? data(file) : file.writeFile(data));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true }).catch(() => undefined); // the first error is the one to tell
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (error instanceof UserError || !code || !syscall) throw error;
    throw new UserError(`${path}: cannot be written (${code}); is there space, and may you write there?`, {
      cause: error,
    });
  }
}
