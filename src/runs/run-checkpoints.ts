/** The checkpoints of a work dir, for those who choose one. */
import { access } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { bestCheckpoint, checkpointsIn, lastCheckpoint } from '../engine/checkpoint.js';
import type { Checkpoint } from './run-view.js';

/** Ascending. */
export async function runCheckpoints(workDir: string): Promise<Checkpoint[]> {
  const [last, best] = await Promise.all([lastCheckpoint(workDir), bestCheckpoint(workDir)]);
  return Promise.all(
    (await checkpointsIn(workDir)).map(async (iter) => {
      const folder = join(workDir, `step${iter}`),
        name = basename(folder);
      return {
        name,
        iter,
        isLast: last !== undefined && basename(last) === name,
        isBest: best !== undefined && basename(best) === name,
        isAdapter: await isAdapter(folder),
      };
    }),
  );
}

/** Networks that can be drawn with, below a checkpoint. */
const PARTS = ['unet', 'text_encoder'];

async function isAdapter(folder: string): Promise<boolean> {
  const found = await Promise.all(PARTS.map((part) => isThere(join(folder, part, 'adapter_config.json'))));
  return found.includes(true);
}

/** Whether pictures can be drawn with a checkpoint: not so with that of a classifier. */
export async function canDraw(folder: string): Promise<boolean> {
  const found = await Promise.all(PARTS.map((part) => isThere(join(folder, part))));
  return found.includes(true);
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
