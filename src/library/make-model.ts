import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { stopIfAborted, UserError } from '../base/errors.js';
import { resolvePackagePath } from '../base/package-path.js';
import { VOCABULARY } from '../datasets/toyland/world.js';
import { checkpointPath } from '../engine/checkpoint-path.js';
import type { FloatType } from '../formats/float-formats.js';
import { CLIP_LAYOUTS, writeRandomClip } from '../models/random-clip.js';
import { LAYOUTS, writeRandomModel } from '../models/random-model.js';
import { suggestion } from '../registry/validate.js';
import { logOf, optionsOf, TEXT, type CallOptions } from './call-options.js';

export interface MakeModelOptions extends CallOptions {
  /** Where to write it. */
  readonly out: string;
  /** Element type of the weights. Default 'float16'; toyland-clip is always float32. */
  readonly dtype?: FloatType | undefined;
  /** A whole number from 0; equal seeds give equal bytes. Default 0. */
  readonly seed?: number | undefined;
  /** Pipeline, checkpoint or work dir whose vae/ is taken instead of a random one. */
  readonly vae?: string | undefined;
  /** CLIP folder, or checkpoint or work dir of its training, whose text encoder and tokenizer are taken. */
  readonly clip?: string | undefined;
}

const check = optionsOf<MakeModelOptions>(
  {
    out: TEXT,
    dtype: { enum: ['float32', 'float16'] },
    seed: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    vae: TEXT,
    clip: TEXT,
  },
  ['out'],
);

/**
 * Writes a pipeline folder with random weights, to test, to measure with, and to train from scratch.
 * @param layout sd15, small, bk_small, tiny, tiny-random, tiny-random-teacher, toyland, toyland-clip
 * @returns the folder, and the files written into it
 * @throws UserError INVALID_INPUT for an unknown layout, FILE_NOT_FOUND, OUTPUT_EXISTS, ...
 */
export async function makeModel(
  layout: string,
  options: MakeModelOptions,
): Promise<{ readonly out: string; readonly files: readonly string[] }> {
  const known = [...Object.keys(LAYOUTS), ...Object.keys(CLIP_LAYOUTS)];
  if (!known.includes(layout)) throw new UserError(`${layout}: no such layout${suggestion(layout, known)}`);
  check('makeModel', options);
  stopIfAborted(options.signal, 'makeModel');
  const { out, dtype, seed = 0, vae, clip } = options;
  if (Object.hasOwn(CLIP_LAYOUTS, layout)) {
    refuseForClip(layout, { vae, clip, dtype: dtype === 'float32' ? undefined : dtype });
    await writeRandomClip(out, CLIP_LAYOUTS[layout], VOCABULARY, seed);
    return { out, files: [] };
  }
  const files: string[] = [],
    log = logOf(options);
  const given = {
    ...(vae === undefined ? {} : { vae: await checkpointPath(resolvePackagePath(vae)) }),
    ...(clip === undefined ? {} : { clip: await clipFolder(await checkpointPath(resolvePackagePath(clip))) }),
  };
  const words = layout === 'toyland' ? { words: VOCABULARY } : {};
  await writeRandomModel(out, LAYOUTS[layout], {
    dtype: dtype ?? 'float16',
    seed,
    report: (file) => {
      files.push(`${out}/${file}`);
      log.info(`${out}/${file}`);
    },
    log,
    ...words,
    ...given,
  });
  return { out, files };
}

function refuseForClip(layout: string, given: Readonly<Record<string, string | undefined>>): void {
  for (const [option, value] of Object.entries(given))
    if (value !== undefined)
      throw new UserError(`${layout} is a CLIP of float32 alone and takes no ${option} (${value}); leave it out`);
}

/** A checkpoint of ContrastiveCLIP has the folder inside. */
async function clipFolder(path: string): Promise<string> {
  return existsSync(join(path, 'clip')) ? join(path, 'clip') : path;
}
