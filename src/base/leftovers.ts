/** What a process that ends in the middle of its work, by a signal, would leave behind: removed as it exits. */
import { rmSync } from 'node:fs';

const present = new Set<string>();
process.once('exit', () => {
  for (const path of present) rmSync(path, { recursive: true, force: true });
});

/** A file or folder that is not meant to stay is there, or is about to be. */
export const announceLeftover = (path: string): void => void present.add(path);

/** It is gone, or has become what it was made for. */
export const forgetLeftover = (path: string): void => void present.delete(path);
