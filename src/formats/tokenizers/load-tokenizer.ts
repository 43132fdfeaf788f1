/** A tokenizer from a folder on disk. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileError } from '../../base/errors.js';
import { ClipTokenizer, type TokenizerLoad } from './clip-tokenizer.js';
import type { TokenizerPlace } from './tokenizer-files.js';

export const tokenizerFolder = (folder: string): TokenizerPlace => ({
  at: (name) => join(folder, name),
  read: (name) =>
    readFile(join(folder, name), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
      throw new FileError(`${join(folder, name)}: cannot be read (${error.code}); check its permissions`, {
        cause: error,
      });
    }),
});

/** @throws UserError when a file is missing or cannot be read as what it should be */
export const loadTokenizer = (folder: string, options: TokenizerLoad = {}): Promise<ClipTokenizer> =>
  ClipTokenizer.from(tokenizerFolder(folder), options);
