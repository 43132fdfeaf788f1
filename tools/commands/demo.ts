import type { Command } from 'commander';
import { addDemoOptions, demo, type DemoOptions } from '../demo-options.js';

export function register(program: Command): void {
  addDemoOptions(program.command('demo'))
    .description('render a prompt with a Stable Diffusion pipeline')
    .argument('<prompt>', 'what to draw')
    .argument('<model>', 'pipeline: a folder, or an id of the hub such as segmind/small-sd')
    .addHelpText(
      'after',
      `
Examples:
  diffengine demo "a photo of a dog on the beach" segmind/small-sd
  diffengine demo "a red car" ./my-small-sd --steps 25 --scheduler DPMSolverMultistepScheduler --n 4 --out cars.png`,
    )
    .action(async (prompt: string, model: string, options: DemoOptions) => demo(prompt, model, undefined, options));
}
