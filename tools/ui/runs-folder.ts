/** Which folder is shown. */
import { readdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { UserError } from '../../src/base/errors.js';
import { isRun } from '../../src/runs/find-runs.js';

const DEFAULT = 'work_dirs';

/** @param given a folder of runs, or one run @returns absolute @throws UserError for what is no folder */
export async function runsFolder(given: string | undefined): Promise<string> {
  const isFolder = async (path: string): Promise<boolean> =>
    (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
  const folder = resolve(given ?? ((await isFolder(DEFAULT)) ? DEFAULT : '.'));
  if (!(await isFolder(folder)))
    throw new UserError(`${given}: no such folder; give the one that runs are in, such as ${DEFAULT}`, {
      code: 'FILE_NOT_FOUND',
    });
  return isRun(await readdir(folder)) ? dirname(folder) : folder;
}
