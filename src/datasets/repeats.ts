/** Folders as kohya's scripts take them: `10_sks dog` holds pictures of "sks dog", each to be seen ten times a round. */
import { basename, resolve } from 'node:path';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { count, examples } from './folder.js';

export interface NumberedFolder {
  readonly name: string;
  readonly repeats: number;
  /** what stands behind the number */
  readonly words: string;
}

const MOST_REPEATS = 10_000;

/**
 * The nearest folder above a picture whose name begins with a number.
 * @param folder of the dataset, which counts too  @param picture relative to it
 */
export function repeatsOf(folder: string, picture: string): NumberedFolder | undefined {
  const above = [basename(resolve(folder)), ...picture.split('/').slice(0, -1)];
  for (const name of above.reverse()) {
    const [, number, words] = /^(\d+)_(.*)$/.exec(name) ?? [];
    if (number !== undefined) return { name, repeats: Number(number), words: words.trim() };
  }
  return undefined;
}

/** The name of a folder whose number would be repeats, or undefined. A year (`2023_summer`) hardly is meant so. */
export const numberedFolder = (folder: string, pictures: readonly string[]): string | undefined =>
  pictures.map((picture) => repeatsOf(folder, picture)).find((found) => found && found.repeats < 1000)?.name;

/**
 * How often each picture comes up in a round.
 * @throws UserError where numbers of folders are asked for and there are none, or one cannot be meant
 */
export function timesOf(
  folder: string,
  pictures: readonly string[],
  repeats: 'none' | 'folder_name',
  log: Logger,
): number[] {
  if (repeats === 'none') {
    const numbered = numberedFolder(folder, pictures);
    if (numbered !== undefined)
      log.warn(`${folder}: the number of "${numbered}" does not repeat its pictures; repeats: folder_name does`);
    return pictures.map(() => 1);
  }
  const found = pictures.map((picture) => repeatsOf(folder, picture)),
    once = pictures.filter((_, i) => found[i] === undefined);
  if (once.length === pictures.length)
    throw new UserError(`${folder}: no folder in it has a number for repeats: folder_name; name it like "10_sks dog"`);
  if (once.length > 0)
    log.warn(`${folder}: ${count(once.length, 'picture')} in folders without a number, seen once (${examples(once)})`);
  return found.map((numbered) => (numbered === undefined ? 1 : checked(numbered)));
}

function checked({ name, repeats }: NumberedFolder): number {
  if (repeats >= 1 && repeats <= MOST_REPEATS) return repeats;
  throw new UserError(
    `repeats: folder_name: "${name}" says ${repeats} repeats; rename the folder to a number from 1 to ${MOST_REPEATS}, or move it away`,
  );
}
