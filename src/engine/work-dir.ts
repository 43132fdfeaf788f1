/** The folder of one run: log, merged config, checkpoints, pictures. One process at a time writes to it. */
import { token } from '../registry/tokens.js';
import { access, constants, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.js';
import { UserError } from '../base/errors.js';
import { makeFolder } from '../base/output-place.js';
import { acquireLock, lockOwner, type Lock, type Owner } from './work-dir-lock.js';

const LOCK = '.lock';

/** The living process that writes to a work dir; undefined: none does. Those of other hosts count as living. */
export const ownerOf = (workDir: string): Promise<Owner | undefined> => lockOwner(join(workDir, LOCK));

export class WorkDir {
  private constructor(
    readonly path: string,
    private readonly lock: Lock,
  ) {}

  /**
   * Creates the folder if needed and claims it for this process.
   * @throws UserError when it cannot be written, or another run is using it
   */
  static async open(path: string): Promise<WorkDir> {
    const folder = resolve(path);
    try {
      await makeFolder(folder);
      await access(folder, constants.W_OK);
      const dir = new WorkDir(folder, await acquireLock(join(folder, LOCK)));
      await dir.removeLeftovers();
      return dir;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT')
        throw new UserError(
          `${folder}: cannot be written: no folder can be made there; choose another place with --work-dir`,
          { cause: error },
        );
      throw readable(error, folder);
    }
  }

  /** One that vanishes when it is closed: for ranks that write nothing. */
  static async temporary(): Promise<WorkDir> {
    const folder = await mkdtemp(join(tmpdir(), 'diffengine-rank-'));
    return new WorkDir(folder, { release: () => rm(folder, { recursive: true, force: true }) });
  }

  /** @param iter 0-based iteration  @returns where its checkpoint is or will be */
  step = (iter: number): string => join(this.path, `step${iter}`);

  /** A file of this run; names may contain folders. */
  file = (name: string): string => join(this.path, name);

  /** Writes a small file, whole or not at all. @throws UserError when the disk is full or read-only */
  async write(name: string, text: string): Promise<void> {
    await writeFileAtomic(this.file(name), text).catch((error: unknown) => {
      throw readable(error, this.file(name));
    });
  }

  /** Lets other runs use the folder. */
  async close(): Promise<void> {
    await this.lock.release();
  }

  /** Removes what a killed process was writing aside, and puts back what it was about to replace. */
  private async removeLeftovers(): Promise<void> {
    const names = await readdir(this.path);
    for (const name of names) {
      const replaced = name.startsWith(OLD) ? name.slice(OLD.length) : undefined;
      if (replaced !== undefined && !names.includes(replaced)) await rename(this.file(name), this.file(replaced));
      else if (replaced !== undefined || isLeftover(name)) await rm(this.file(name), { recursive: true, force: true });
    }
  }
}

/** Folders being written, and folders moved out of the way of their successor. */
export const TMP = '.tmp-',
  OLD = '.old-';
const isLeftover = (name: string): boolean => name.startsWith(TMP) || (name.endsWith('.tmp') && !name.startsWith(LOCK));

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space, or choose another place with --work-dir',
  EDQUOT: 'the disk quota is used up; free some space, or choose another place with --work-dir',
  EROFS: 'the file system is read-only; choose another place with --work-dir',
  EACCES: 'no permission to write there; choose another place with --work-dir',
  EPERM: 'no permission to write there; choose another place with --work-dir',
  ENOTDIR: 'a part of the path is a file; choose another place with --work-dir',
  EEXIST: 'it is a file, not a folder; choose another place with --work-dir',
  EISDIR: 'it is a folder, not a file; move it away',
};

/** The user's mistakes and a full disk in words; anything else unchanged. */
export function readable(error: unknown, where: string): unknown {
  const reason = REASONS[(error as NodeJS.ErrnoException)?.code ?? ''];
  return reason === undefined ? error : new UserError(`${where}: cannot be written: ${reason}`, { cause: error });
}

export const WORK_DIR = token<WorkDir>('WORK_DIR');
