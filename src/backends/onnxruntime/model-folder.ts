/**
 * ONNX Runtime maps weights from files in the model's own folder and refuses absolute paths and symbolic links. So each
 * program gets a folder with hard links to the weight files: no copy on disk, one mapping shared by all sessions.
 */
import { mkdtempSync } from 'node:fs';
import { constants, copyFile, link, mkdir, realpath, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { announceLeftover, forgetLeftover } from '../../base/leftovers.js';

export class ModelFolder {
  private constructor(
    readonly path: string,
    private readonly names: ReadonlyMap<string, string>,
  ) {}

  /**
   * @param files weight files of the program
   * @param scratch preferred place; used when it is on the same file system as the files
   */
  static async create(scratch: string, files: readonly string[]): Promise<ModelFolder> {
    const real = new Map<string, string>();
    for (const file of files) real.set(file, await realpath(file));
    for (const parent of [scratch, ...new Set([...real.values()].map(dirname))]) {
      const folder = await ModelFolder.tryLink(parent, real).catch(ignorable);
      if (folder) return folder;
    }
    const path = await newFolder(scratch);
    return new ModelFolder(path, await place(path, real, (from, to) => copyFile(from, to, constants.COPYFILE_FICLONE)));
  }

  private static async tryLink(parent: string, real: ReadonlyMap<string, string>): Promise<ModelFolder> {
    const path = await newFolder(parent);
    try {
      return new ModelFolder(path, await place(path, real, link));
    } catch (error) {
      await removeFolder(path);
      throw error;
    }
  }

  /** The name of a weight file inside the folder. */
  locate(file: string): string {
    const name = this.names.get(file);
    if (name === undefined) throw new Error(`model folder: ${file} was not announced`);
    return name;
  }

  async writeModel(model: Uint8Array): Promise<string> {
    const path = join(this.path, 'model.onnx');
    await writeFile(path, model);
    return path;
  }

  /** The mapping outlives its names, except on Windows, where open files cannot be removed. */
  remove(): Promise<void> {
    return removeFolder(this.path);
  }
}

const newFolder = async (parent: string): Promise<string> => {
  await mkdir(parent, { recursive: true });
  const path = mkdtempSync(join(parent, '.diffengine-')); // at once: an exit must not come between it and the next line
  announceLeftover(path);
  return path;
};

async function removeFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  forgetLeftover(path);
}

async function place(
  folder: string,
  real: ReadonlyMap<string, string>,
  put: (from: string, to: string) => Promise<void>,
): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  for (const [file, target] of real) {
    const name = `${names.size}-${basename(target)}`;
    await put(target, join(folder, name));
    names.set(file, name);
  }
  return names;
}

/** Another file system, or a folder that is not ours to write: the next candidate may do. */
function ignorable(error: NodeJS.ErrnoException): undefined {
  if (['EXDEV', 'EACCES', 'EPERM', 'EROFS', 'ENOTSUP', 'EMLINK'].includes(error.code ?? '')) return undefined;
  throw error;
}
