/** `model_index.json`, which lists a pipeline's components. */
import { readFile, writeFile } from 'node:fs/promises';
import { FileError } from '../../base/errors.js';

/** A pipeline from the hub comes without its safety checker; left in the index, diffusers would look for it. */
export async function forgetAbsent(path: string, folders: readonly string[]): Promise<void> {
  const index = Object.entries(parse(path, await readFile(path, 'utf8').catch(() => '{}')));
  const absent = ([name, entry]: [string, unknown]): boolean =>
    Array.isArray(entry) && entry[1] !== null && !folders.includes(name);
  if (!index.some(absent)) return;
  await writeFile(
    path,
    `${JSON.stringify(Object.fromEntries(index.map((pair) => (absent(pair) ? [pair[0], [null, null]] : pair))), null, 2)}\n`,
  );
}

function parse(path: string, text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new FileError(`${path}: not JSON (${(error as Error).message}); download it again`, { cause: error });
  }
}
