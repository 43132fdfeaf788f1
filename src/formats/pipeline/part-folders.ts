/** Where the networks of a pipeline lie: in its folder, and what two of our own models have in common in one of them. */
import { readdir, realpath, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { FileError, UserError } from '../../base/errors.js';
import { packageRoot } from '../../base/package-path.js';
import { readJson } from '../read-json.js';

/**
 * Key of `model_index.json`: by the name of a network its folder, relative to the pipeline's. U-Net, tokenizer and scheduler
 * are each pipeline's own.
 */
export const SHARED = '_shared';

export interface PartFolders {
  /** names of the parts and of other folders there, sorted */
  readonly names: readonly string[];
  /** the folder of a part; where it would be, when there is none */
  of(name: string): string;
}

/**
 * Only models that come with diffengine may share: a folder from elsewhere must not point at what lies beside it.
 * @param folder of a pipeline, or of one component
 * @throws UserError when the folder cannot be read, or shares and may not
 */
export async function partFolders(folder: string): Promise<PartFolders> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${folder}: cannot be opened as a folder (${error.code}); is the path right?`, {
      cause: error,
    });
  });
  const isFolder = await Promise.all(
    entries.map(async (entry) =>
      entry.isSymbolicLink() ? (await stat(join(folder, entry.name))).isDirectory() : entry.isDirectory(),
    ),
  );
  const own = entries.filter((_, i) => isFolder[i]).map(({ name }) => name),
    shared = entries.some(({ name }) => name === 'model_index.json')
      ? await sharedBy(folder)
      : new Map<string, string>();
  return {
    names: [...new Set([...own, ...shared.keys()])].sort(),
    of: (name) => shared.get(name) ?? join(folder, name),
  };
}

async function sharedBy(folder: string): Promise<ReadonlyMap<string, string>> {
  const path = join(folder, 'model_index.json'),
    { [SHARED]: given } = await readJson(path, 'a diffusers pipeline folder has one');
  if (given === undefined) return new Map();
  if (await isOurs(folder))
    return new Map(Object.entries(given as Record<string, string>).map(([name, at]) => [name, join(folder, at)]));
  throw new FileError(
    `${path}: "${SHARED}" is ${JSON.stringify(given)}, and only the models inside diffengine share networks; "diffengine convert package:assets/<name> --out <folder>" writes a whole folder`,
  );
}

/** @returns whether it is, or lies in, one of the models of the package */
async function isOurs(folder: string): Promise<boolean> {
  const [assets, real] = await Promise.all([join(packageRoot, 'assets'), folder].map((path) => realpath(path)));
  const inside = relative(assets, real);
  return inside !== '' && !/^\.\.|^[A-Za-z]:|^[/\\]/.test(inside);
}
