import { type Command, Option } from 'commander';
import type { FloatType } from '../../src/formats/float-formats.js';

export function register(program: Command): void {
  program
    .command('convert')
    .description('write the PyTorch .bin weights of a model as safetensors')
    .argument('<model>', 'folder of a pipeline or of one component; with --out also an id of the hub')
    .option('--out <folder>', 'new folder for the whole model; by default the files are written beside the old ones')
    .addOption(
      new Option('--dtype <type>', 'of the floating-point tensors; by default as stored').choices([
        'float32',
        'float16',
      ]),
    )
    .addHelpText(
      'after',
      `
Examples:
  diffengine convert my-small-sd
  diffengine convert segmind/small-sd --out small-sd-fp16 --dtype float16`,
    )
    .action(convert);
}

async function convert(model: string, { out, dtype }: { out?: string; dtype?: FloatType }): Promise<void> {
  const { existsSync } = await import('node:fs');
  const { convertFolder } = await import('../../src/formats/convert-folder.js');
  const { resolveModel } = await import('../../src/formats/hub/hub.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { UserError } = await import('../../src/base/errors.js');
  const log = new ConsoleLogger();
  if (!existsSync(model) && out === undefined)
    throw new UserError(`${model}: no such folder; to convert a model of the hub, say where to with --out`);
  const { resolve } = await import('node:path');
  const { requireNewFolder } = await import('../../src/base/atomic-folder.js');
  if (out !== undefined && resolve(out) !== resolve(model)) await requireNewFolder(out); // before long work
  const written = await convertFolder(await resolveModel(model, { log }), { out, dtype, log });
  log.info(
    written.length > 0
      ? `${out ?? model}: ${written.length} safetensors files written`
      : `${model}: its weights are safetensors already`,
  );
}
