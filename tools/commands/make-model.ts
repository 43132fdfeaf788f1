import { Option, type Command } from 'commander';

interface MakeModelOptions {
  readonly out: string;
  readonly vae?: string;
  readonly clip?: string;
  readonly dtype: 'float16' | 'float32';
  readonly seed: string;
}

export function register(program: Command): void {
  program
    .command('make-model')
    .description('write a pipeline folder with random weights, to test, to measure with, and to train from scratch')
    .argument(
      '<layout>',
      'sd15, small (segmind small-sd, BK-SDM Base), bk_small, tiny (segmind tiny-sd, BK-SDM Tiny), tiny-random, tiny-random-teacher, toyland, toyland-clip',
    )
    .requiredOption('--out <folder>', 'where to write it')
    .addOption(
      new Option('--dtype <name>', 'element type of the weights').choices(['float16', 'float32']).default('float16'),
    )
    .option('--seed <n>', 'equal seeds give equal bytes', '0')
    .option('--vae <folder>', 'pipeline, checkpoint or work dir whose vae/ is taken instead of a random one')
    .option(
      '--clip <folder>',
      'CLIP folder, or checkpoint or work dir of its training, whose text encoder and tokenizer are taken instead of random ones',
    )
    .addHelpText(
      'after',
      `
Examples:
  diffengine make-model small --out my-small-sd --dtype float32
  diffengine make-model toyland --vae work_dirs/toyland_vae --clip work_dirs/toyland_clip --out work_dirs/toyland_base`,
    )
    .action(makeModel);
}

async function makeModel(layout: string, { out, dtype, seed, vae, clip }: MakeModelOptions): Promise<void> {
  const { LAYOUTS, writeRandomModel } = await import('../../src/models/random-model.js');
  const { suggestion } = await import('../../src/registry/validate.js');
  const { UserError } = await import('../../src/base/errors.js');
  const { VOCABULARY } = await import('../../src/datasets/toyland/world.js');
  const { CLIP_LAYOUTS, writeRandomClip } = await import('../../src/models/random-clip.js');
  const known = [...Object.keys(LAYOUTS), ...Object.keys(CLIP_LAYOUTS)];
  if (!known.includes(layout)) throw new UserError(`${layout}: no such layout${suggestion(layout, known)}`);
  if (!/^\d+$/.test(seed) || !Number.isSafeInteger(Number(seed)))
    throw new UserError(`--seed ${seed}: not a whole number from 0 to 2^53 - 1; leave it out for 0`);
  if (Object.hasOwn(CLIP_LAYOUTS, layout)) {
    await writeRandomClip(out, CLIP_LAYOUTS[layout], VOCABULARY, Number(seed));
    console.log(out);
    return;
  }
  const report = (file: string): void => console.log(`${out}/${file}`);
  const { checkpointPath } = await import('../../src/engine/checkpoint-path.js');
  const given = {
    ...(vae === undefined ? {} : { vae: await checkpointPath(vae) }),
    ...(clip === undefined ? {} : { clip: await clipFolder(await checkpointPath(clip)) }),
  };
  const words = layout === 'toyland' ? { words: VOCABULARY } : {};
  await writeRandomModel(out, LAYOUTS[layout], { dtype, seed: Number(seed), report, ...words, ...given });
}

/** A checkpoint of ContrastiveCLIP has the folder inside. */
async function clipFolder(path: string): Promise<string> {
  const { existsSync } = await import('node:fs');
  const { join } = await import('node:path');
  return existsSync(join(path, 'clip')) ? join(path, 'clip') : path;
}
