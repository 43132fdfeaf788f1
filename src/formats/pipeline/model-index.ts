/** `model_index.json`, which lists a pipeline's components. */
import { readFile, writeFile } from 'node:fs/promises';
import { FileError } from '../../base/errors.js';
import { SHARED } from './part-folders.js';

/**
 * Lets the index of a whole folder name what is there. A pipeline from the hub comes without its safety checker, for which
 * diffusers would look; networks that lay elsewhere are in the folder now.
 */
export async function listPresent(path: string, folders: readonly string[]): Promise<void> {
  const index = Object.entries(parse(path, await readFile(path, 'utf8').catch(() => '{}')));
  const absent = ([name, entry]: [string, unknown]): boolean =>
    Array.isArray(entry) && entry[1] !== null && !folders.includes(name);
  if (!index.some((pair) => absent(pair) || pair[0] === SHARED)) return;
  const listed = index
    .filter(([name]) => name !== SHARED)
    .map((pair) => (absent(pair) ? [pair[0], [null, null]] : pair));
  await writeFile(path, `${JSON.stringify(Object.fromEntries(listed), null, 2)}\n`);
}

function parse(path: string, text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new FileError(`${path}: not JSON (${(error as Error).message}); download it again`, { cause: error });
  }
}
