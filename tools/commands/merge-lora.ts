import type { Command } from 'commander';
import { number } from '../demo-options.js';

export function register(program: Command): void {
  program
    .command('merge-lora')
    .description('write a pipeline that has an adapter in its weights, for tools that know no LoRA')
    .argument('<pipeline>', 'base model of the adapter: a folder, a checkpoint, or an id of the hub')
    .argument('<adapter>', 'checkpoint or work dir of a run, or an adapter of PEFT, diffusers or kohya')
    .requiredOption('--out <path>', 'new folder for the pipeline, or a file that ends in .safetensors')
    .option('--lora-scale <x>', 'strength of the adapter, 1 as trained', number, 1)
    .addHelpText(
      'after',
      `
Examples:
  diffengine merge-lora segmind/small-sd work_dirs/small_sd_dreambooth_lora_dog/step999 --out my-dog-sd
  diffengine merge-lora dreamshaper.safetensors work_dirs/dog/step999 --out my-dog.safetensors`,
    )
    .action(mergeCommand);
}

async function mergeCommand(
  model: string,
  adapter: string,
  { out, loraScale: scale }: { out: string; loraScale: number },
): Promise<void> {
  const { mergeLora } = await import('../../src/library/merge-lora.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const log = new ConsoleLogger();
  const { modules } = await mergeLora(model, adapter, { out, scale, log });
  const parts = [
    modules.unet > 0 && `${modules.unet} modules of the U-Net`,
    modules.text_encoder > 0 && `${modules.text_encoder} of the text encoder`,
  ].filter(Boolean);
  log.info(`${out}: merged ${parts.join(' and ')}`);
}
