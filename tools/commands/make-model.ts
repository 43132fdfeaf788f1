import { Option, type Command } from 'commander';

interface MakeModelOptions {
  readonly out: string;
  readonly dtype: 'float16' | 'float32';
  readonly seed: string;
}

export function register(program: Command): void {
  program.command('make-model')
    .description('write a pipeline folder with random weights, to test and to measure with')
    .argument('<layout>', 'sd15, small (segmind small-sd, BK-SDM Base), bk_small, tiny (segmind tiny-sd, BK-SDM Tiny), tiny-random, tiny-random-teacher')
    .requiredOption('--out <folder>', 'where to write it')
    .addOption(new Option('--dtype <name>', 'element type of the weights').choices(['float16', 'float32']).default('float16'))
    .option('--seed <n>', 'equal seeds give equal bytes', '0')
    .addHelpText('after', '\nExample:\n  diffengine make-model small --out my-small-sd --dtype float32')
    .action(makeModel);
}

async function makeModel(layout: string, { out, dtype, seed }: MakeModelOptions): Promise<void> {
  const { LAYOUTS, writeRandomModel } = await import('../../src/models/random-model.js');
  const { suggestion } = await import('../../src/registry/validate.js');
  const { UserError } = await import('../../src/errors.js');
  if (!Object.hasOwn(LAYOUTS, layout)) throw new UserError(`${layout}: no such layout${suggestion(layout, Object.keys(LAYOUTS))}`);
  if (!/^\d+$/.test(seed)) throw new UserError(`--seed ${seed}: not a whole number from 0; leave it out for 0`);
  await writeRandomModel(out, LAYOUTS[layout], dtype, Number(seed), (file) => console.log(`${out}/${file}`));
}
