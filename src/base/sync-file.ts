import { fsync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';

const sync = promisify(fsync);

/** What was written is on the disk then. By descriptor: handles of Yarn's Plug'n'Play have no `sync`. */
export const syncFile = ({ fd }: Pick<FileHandle, 'fd'>): Promise<void> => sync(fd);
