/**
 * Pictures of the class ("a photo of dog") that the untouched model makes of itself, for DreamBooth's prior
 * preservation (Ruiz et al. 2023, https://arxiv.org/abs/2208.12242, section 3.3). Slow to make, so made once.
 */
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import { writeFileAtomic } from '../base/atomic-file.js';
import { track } from '../base/progress.js';
import { gatherJson } from '../collectives/collectives.js';
import type { ClassImageRequest, DatasetServices } from './dataset.js';
import { writePng } from './image/picture-file.js';
import type { Source } from './pipeline.js';
import { fileSource } from './sources.js';

export interface ClassImages {
  readonly model: string | undefined;
  readonly prompt: string;
  /** picture k is made with seed + k */
  readonly seed: number;
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly steps: number;
  readonly guidance: number;
  /** undefined: none */
  readonly rescale?: number | undefined;
  readonly scheduler?: string | undefined;
}

/**
 * Finds the pictures in the cache and generates those that are missing. The folder's name is a hash of all that decides
 * what the pictures look like. Each file appears whole or not at all, and nothing is ever deleted: an interrupted run
 * goes on where it stopped, a larger `count` adds, a smaller one uses the first ones.
 */
export async function cachedClassImages(wanted: ClassImages, services: DatasetServices): Promise<Source[]> {
  const folder = join(services.cacheDir, 'class-images', keyOf(wanted, services));
  const have = new Set(await readdir(folder).catch(() => []));
  const paths = Array.from({ length: wanted.count }, (_, k) => join(folder, fileName(k)));
  const missing = await missingSomewhere(
    services,
    [...paths.keys()].filter((k) => !have.has(fileName(k))),
  );
  if (missing.length > 0) await generate(wanted, missing, folder, services);
  else services.logger.info(`class images: ${wanted.count} of "${wanted.prompt}" from ${folder}`);
  return paths.map(fileSource);
}

/** Ranks of other machines may have a cache of their own; what one lacks, all draw together. */
async function missingSomewhere({ ranks }: DatasetServices, here: readonly number[]): Promise<number[]> {
  if (!ranks) return [...here];
  return [...new Set((await gatherJson(ranks, here)).flat())].sort((a, b) => a - b);
}

async function generate(
  wanted: ClassImages,
  missing: readonly number[],
  folder: string,
  { logger, generateClassImages, ranks }: DatasetServices,
): Promise<void> {
  const { model, prompt, seed, count, height, width, steps, guidance, rescale, scheduler } = wanted;
  if (!generateClassImages) {
    throw new UserError(
      `class_prompt: ${missing.length} of ${count} class images are missing and nothing here can generate them; give your own with class_image.data_dir`,
    );
  }
  logger.info(
    `class images: generating ${missing.length} of ${count} of "${prompt}", ${width}x${height}, into ${folder}`,
  );
  const writes = !ranks || ranks.localRank === 0; // one per machine
  if (writes)
    await writeFileAtomic(
      join(folder, 'request.json'),
      `${JSON.stringify({ model, prompt, seed, height, width, steps, guidance, rescale, scheduler }, null, 2)}\n`,
    );
  const bar = track(logger, { what: 'class pictures', total: missing.length, each: steps });
  let done = 0;
  const request: ClassImageRequest = {
    model,
    prompt,
    size: { height, width },
    steps,
    guidance,
    rescale,
    scheduler,
    seeds: missing.map((k) => seed + k),
    onStep: (steps) => bar.update(steps),
    onImage: async (index, image) => {
      if (writes) await writePng(join(folder, fileName(missing[index])), image);
      done++;
    },
  };
  await generateClassImages(request).finally(() => bar.stop());
  await ranks?.barrier();
  if (done < missing.length) throw new Error(`class images: asked for ${missing.length}, got ${done}`);
}

const fileName = (k: number): string => `${String(k).padStart(4, '0')}.png`;

function keyOf(
  { model, prompt, seed, height, width, steps, guidance, rescale, scheduler }: ClassImages,
  { modelFingerprint }: DatasetServices,
): string {
  const maker = modelFingerprint ? modelFingerprint(model) : model;
  if (maker === undefined)
    throw new UserError('class_image.model: not set; name the model that makes the class images');
  return createHash('sha256')
    .update(JSON.stringify({ maker, prompt, seed, height, width, steps, guidance, rescale, scheduler }))
    .digest('hex')
    .slice(0, 32);
}
