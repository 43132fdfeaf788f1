import { Option, type Command } from 'commander';
import type { BlockRemoval } from '../../src/library/compress.js';

export function register(program: Command): void {
  program
    .command('compress')
    .description('make a smaller pipeline by removing blocks of the U-Net; distillation then teaches it what it lost')
    .argument('<teacher>', 'pipeline of SD 1.x or 2.x: a folder, or an id of the hub')
    .addOption(
      new Option(
        '--preset <layout>',
        'base and small: the layout of segmind/small-sd; bk_small: without its mid block; tiny: that of segmind/tiny-sd',
      )
        .choices(['base', 'small', 'bk_small', 'tiny'])
        .default('small'),
    )
    .requiredOption('--out <folder>', 'new folder for the pipeline')
    .addHelpText(
      'after',
      `
Example:
  diffengine compress CompVis/stable-diffusion-v1-4 --preset tiny --out my-tiny-sd`,
    )
    .action(compressCommand);
}

async function compressCommand(model: string, options: { preset: BlockRemoval; out: string }): Promise<void> {
  const { compress } = await import('../../src/library/compress.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const log = new ConsoleLogger();
  const { out, summary, parameters } = await compress(model, { ...options, log });
  const [student, teacher] = [parameters.student, parameters.teacher].map((n) => n.toLocaleString('en'));
  log.info(`${out}: ${summary}; U-Net ${student} parameters, the teacher's ${teacher}`);
}
