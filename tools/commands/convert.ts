import { type Command, Option } from 'commander';
import type { FloatType } from '../../src/library/convert.js';

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
    .action(convertCommand);
}

interface ConvertCommandOptions {
  readonly out?: string;
  readonly dtype?: FloatType;
  readonly variant?: string;
  readonly config?: string;
}

async function convertCommand(model: string, options: ConvertCommandOptions): Promise<void> {
  const { convert } = await import('../../src/library/convert.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const log = new ConsoleLogger();
  const { files, isOneFile } = await convert(model, { ...options, log });
  if (isOneFile) {
    log.info(`${options.out}: written, U-Net, VAE and text encoder in one file`);
    return;
  }
  log.info(
    files.length > 0
      ? `${options.out ?? model}: ${files.length} safetensors files written`
      : `${model}: its weights are safetensors already`,
  );
}
