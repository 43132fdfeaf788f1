import { Option, type Command } from 'commander';

interface MakeModelOptions {
  readonly out: string;
  readonly vae?: string;
  readonly clip?: string;
  readonly dtype?: 'float16' | 'float32';
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
      new Option('--dtype <name>', 'element type of the weights (default: float16; toyland-clip: float32)').choices([
        'float16',
        'float32',
      ]),
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
    .action(makeCommand);
}

async function makeCommand(layout: string, { seed, ...options }: MakeModelOptions): Promise<void> {
  const { makeModel } = await import('../../src/library/make-model.js');
  const { UserError } = await import('../../src/base/errors.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  if (!/^\d+$/.test(seed) || !Number.isSafeInteger(Number(seed)))
    throw new UserError(`--seed ${seed}: not a whole number from 0 to 2^53 - 1; leave it out for 0`);
  await makeModel(layout, { ...options, seed: Number(seed), log: new ConsoleLogger() });
}
