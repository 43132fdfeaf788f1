import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError } from './errors.js';

/**
 * Writes a file so that readers see either nothing, the old content or all of the new content, even after a kill or a
 * power cut: written aside in the same folder, synced, renamed. Creates the folder.
 * @throws UserError when the disk is full, the folder read-only, the name a folder's, ...
 */
export async function writeFileAtomic(path: string, data: Uint8Array | string): Promise<void> {
  const aside = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeSynced(aside, data);
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true }).catch(() => undefined); // the first error is the one to tell
    throw new UserError(`${path}: cannot be written (${(error as NodeJS.ErrnoException).code}); is there space, and may you write there?`, { cause: error });
  }
}

async function writeSynced(path: string, data: Uint8Array | string): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
}
