/** Finds work dirs below a folder. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isLogFile } from './log-text.js';

export interface FoundRun {
  /** path below the folder, with forward slashes */
  readonly id: string;
  readonly path: string;
}

export interface Found {
  readonly runs: readonly FoundRun[];
  /** folders that were looked through and are no runs themselves: new runs may come there */
  readonly folders: readonly string[];
}

/** How far below the folder a run may be. */
const DEPTH = 4;
/** A folder with more than this below it is no folder of runs. */
const MOST_FOLDERS = 2000;
const SKIPPED = new Set(['node_modules', 'dist']);

/** In the order of their paths; what is below a run is part of it. Symbolic links are not followed. */
export async function findRuns(root: string): Promise<Found> {
  const runs: FoundRun[] = [],
    folders: string[] = [];
  let next = [''];
  for (let depth = 0; depth <= DEPTH && next.length > 0; depth++) {
    const below: string[] = [];
    for (const id of next) {
      const path = join(root, id),
        entries = await readdir(path, { withFileTypes: true }).catch(() => undefined);
      if (!entries) continue;
      if (id !== '' && isRun(entries.map(({ name }) => name))) runs.push({ id, path });
      else if (folders.length < MOST_FOLDERS) {
        folders.push(path);
        below.push(
          ...entries
            .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !SKIPPED.has(entry.name))
            .map(({ name }) => (id === '' ? name : `${id}/${name}`)),
        );
      }
    }
    next = below;
  }
  return { runs: runs.sort((a, b) => (a.id < b.id ? -1 : 1)), folders };
}

/** Whether a folder of these files is a work dir: it has a config, and a log or a run that begins. */
export const isRun = (names: readonly string[]): boolean =>
  names.includes('config.yaml') && names.some((name) => name === 'log.jsonl' || name === '.lock' || isLogFile(name));
