/** Pipelines with random weights, float32 as the opponent's, written once into the cache. */
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../src/base/errors.js';
import { LAYOUTS, writeRandomModel } from '../src/models/random-model.js';
import { defaultCacheDir } from '../src/base/cache-dir.js';

export async function randomPipeline(layout: string): Promise<string> {
  if (!LAYOUTS[layout])
    throw new UserError(`--layouts: no layout "${layout}"; known: ${Object.keys(LAYOUTS).join(', ')}`);
  const folder = join(defaultCacheDir(), 'bench', layout);
  if (!existsSync(join(folder, 'model_index.json'))) {
    process.stderr.write(`writing random weights of ${layout} to ${folder}; once, about a minute\n`);
    await rm(`${folder}.part`, { recursive: true, force: true }); // of a run that was stopped
    await writeRandomModel(`${folder}.part`, LAYOUTS[layout], { dtype: 'float32', seed: 0 });
    await rename(`${folder}.part`, folder);
  }
  return folder;
}
