import type { Command } from 'commander';
import { addDemoOptions, demo, number, type DemoOptions } from '../demo-options.js';

interface DemoLoraOptions extends DemoOptions {
  readonly sdmodel?: string;
  readonly loraScale: number;
}

export function register(program: Command): void {
  addDemoOptions(program.command('demo_lora'))
    .description('render a prompt with what a run has trained')
    .argument(
      '<prompt>',
      'what to draw, with the words of the training prompt, such as "A photo of sks dog in a bucket"',
    )
    .argument('<checkpoint>', 'checkpoint or work dir of a run, or an adapter of PEFT, diffusers or kohya')
    .option(
      '--sdmodel <model>',
      'base pipeline: a folder, or an id of the hub (default: the one recorded in the checkpoint)',
    )
    .option('--lora-scale <x>', 'strength of the adapter, 1 as trained', number, 1)
    .addHelpText(
      'after',
      `
Examples:
  diffengine demo_lora "A photo of sks dog in a bucket" work_dirs/small_sd_dreambooth_lora_dog/step999 --sdmodel segmind/small-sd
  diffengine demo_lora "A photo of sks dog in a bucket" work_dirs/small_sd_dreambooth_lora_dog --n 4 --seed 7 --out dogs.png`,
    )
    .action(async (prompt: string, path: string, { sdmodel, loraScale, ...options }: DemoLoraOptions) => {
      const { checkpointPath, recordedBase } = await import('../../src/engine/checkpoint-path.js');
      const folder = await checkpointPath(path);
      await demo(prompt, sdmodel ?? (await recordedBase(folder)), { path: folder, scale: loraScale }, options);
    });
}
