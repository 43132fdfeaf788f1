import { type Command, Option } from 'commander';
import type { FloatType } from '../../src/formats/float-formats.js';

export function register(program: Command): void {
  program
    .command('convert')
    .description('write a model as safetensors: a folder, or one file for A1111 and ComfyUI')
    .argument('<model>', 'folder of a pipeline or of one component; with --out also a checkpoint, or an id of the hub')
    .option(
      '--out <path>',
      'new folder for the whole model, or a file that ends in .safetensors; by default .bin files get a copy beside them',
    )
    .option('--variant <name>', 'of several sets of weights, such as fp16 or non_ema')
    .option('--config <folder>', 'pipeline folder with the configs and the tokenizer of a checkpoint')
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
  diffengine convert segmind/small-sd --out small-sd-fp16 --dtype float16
  diffengine convert dreamshaper.safetensors --out dreamshaper
  diffengine convert my-dog-sd --out my-dog-sd.safetensors --dtype float16`,
    )
    .action(convert);
}

interface ConvertOptions {
  readonly out?: string;
  readonly dtype?: FloatType;
  readonly variant?: string;
  readonly config?: string;
}

async function convert(model: string, { out, dtype, variant, config }: ConvertOptions): Promise<void> {
  const { stat } = await import('node:fs/promises');
  const { extname, resolve } = await import('node:path');
  const { requireNewFolder } = await import('../../src/base/atomic-folder.js');
  const { outputPlace } = await import('../../src/base/output-place.js');
  const { convertFolder } = await import('../../src/formats/convert-folder.js');
  const { resolveModel } = await import('../../src/formats/hub/hub.js');
  const { CHECKPOINTS } = await import('../../src/formats/single-file/open-checkpoint.js');
  const { writeCheckpoint } = await import('../../src/formats/single-file/write-checkpoint.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { UserError } = await import('../../src/base/errors.js');
  const log = new ConsoleLogger();
  const isFolder = (await stat(model).catch(() => undefined))?.isDirectory() === true;
  if (!isFolder && out === undefined)
    throw new UserError(
      `${model}: no such folder; to convert a checkpoint or a model of the hub, say where to with --out`,
    );
  if (config !== undefined && isFolder)
    throw new UserError(`--config: ${model} is a folder and has its configs; only a checkpoint in one file takes them`);
  const isOneFile = CHECKPOINTS.includes(extname(out ?? ''));
  if (isOneFile && !out?.endsWith('.safetensors'))
    throw new UserError(`--out: ${out}; a checkpoint is written as safetensors, let the name end in .safetensors`);
  if (out !== undefined && isOneFile)
    await outputPlace(out); // before long work
  else if (out !== undefined && resolve(out) !== resolve(model)) await requireNewFolder(out);
  const folder = await resolveModel(model, { log, config, variant });
  if (out !== undefined && isOneFile) {
    await writeCheckpoint(folder, out, { dtype, log, variant });
    log.info(`${out}: written, U-Net, VAE and text encoder in one file`);
    return;
  }
  const written = await convertFolder(folder, { out, dtype, variant, log });
  log.info(
    written.length > 0
      ? `${out ?? model}: ${written.length} safetensors files written`
      : `${model}: its weights are safetensors already`,
  );
}
