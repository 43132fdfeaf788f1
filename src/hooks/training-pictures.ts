/** Small copies of what a run is trained on, beside what it draws. */
import { join } from 'node:path';
import sharp from 'sharp';
import { encodePng } from '../datasets/image/picture-file.js';
import type { RunState } from '../engine/run-state.js';
import { fromSamples } from '../evaluation/pictures.js';
import { writeFileAtomic } from '../base/atomic-file.js';
import { CAPTIONS_FILE, PICTURES, TRAINING } from '../runs/pictures.js';

/** A subject has a few pictures; of a large set, the first ones. */
const MOST = 8;
/** pixels */
const SIDE = 256;

/** Writes `vis/training/<k>.png`, as the model gets them, and their texts. */
export async function copyTrainingPictures({ dataset, workDir }: RunState): Promise<void> {
  const folder = workDir.file(join(PICTURES, TRAINING)),
    set = fromSamples(dataset),
    captions: string[] = [];
  for (let k = 0; k < Math.min(MOST, set.length); k++) {
    const png = await encodePng(await set.picture(k));
    const small = await sharp(png)
      .resize({ width: SIDE, height: SIDE, fit: 'inside', withoutEnlargement: true })
      .toBuffer();
    await writeFileAtomic(join(folder, `${k}.png`), small);
    captions.push((await set.text?.(k)) ?? '');
  }
  await writeFileAtomic(join(folder, CAPTIONS_FILE), captionsText(captions));
}

/** What stands in `captions.json`. */
export const captionsText = (captions: readonly string[]): string => `${JSON.stringify({ captions }, null, 2)}\n`;
