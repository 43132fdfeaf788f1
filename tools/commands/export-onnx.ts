import { Option, type Command } from 'commander';
import type { OnnxDtype } from '../../src/sampling/onnx/weight-store.js';
import { number } from '../demo-options.js';

export function register(program: Command): void {
  program
    .command('export-onnx')
    .description('write a pipeline as ONNX files, for browsers, Optimum and diffusers')
    .argument('<pipeline>', 'pipeline: a folder, a checkpoint in one file, or an id of the hub')
    .requiredOption('--out <folder>', 'new folder for the files')
    .option('--adapter <path>', 'checkpoint, work dir or adapter whose changes go into the weights')
    .option('--lora-scale <x>', 'strength of the adapter, 1 as trained', number)
    .addOption(
      new Option('--dtype <type>', 'how weights are stored; what is computed stays float32')
        .choices(['float32', 'float16', 'int8'])
        .default('float32'),
    )
    .addHelpText(
      'after',
      `
Examples:
  diffengine export-onnx ./toyland-small-sd --out toyland-onnx
  diffengine export-onnx segmind/tiny-sd --dtype float16 --out tiny-sd-onnx
  diffengine export-onnx segmind/small-sd --adapter work_dirs/small_sd_dreambooth_lora_dog --out dog-onnx`,
    )
    .action(exportOnnx);
}

interface Options {
  readonly out: string;
  readonly adapter?: string;
  readonly loraScale?: number;
  readonly dtype: OnnxDtype;
}

async function exportOnnx(pipeline: string, { loraScale: scale, ...options }: Options): Promise<void> {
  const { exportOnnx: write } = await import('../../src/library/export-onnx.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { interruptible } = await import('../interrupt.js');
  const log = new ConsoleLogger();
  await interruptible(log, async (signal) => {
    const { out, files } = await write(pipeline, { ...options, scale, log, signal });
    for (const { component, weights, bytes } of files)
      log.info(`${out}/${component}/model.onnx: ${weights} weights, ${(bytes / 1e6).toFixed(1)} MB`);
  });
}
