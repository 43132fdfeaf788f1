import { Option, type Command } from 'commander';
import type { BlockRemoval } from '../../src/models/block-removal.js';

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
    .action(compress);
}

async function compress(model: string, { preset, out }: { preset: BlockRemoval; out: string }): Promise<void> {
  const { BLOCK_REMOVALS, compressPipeline } = await import('../../src/models/block-removal.js');
  const { openPipeline } = await import('../../src/formats/pipeline/pipeline-folder.js');
  const { recorded, recordUnet } = await import('../../src/networks/record.js');
  const { resolveModel } = await import('../../src/formats/hub/hub.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { sizeOf } = await import('../../src/tensor/host.js');
  const { requireNewFolder } = await import('../../src/base/atomic-folder.js');
  const log = new ConsoleLogger();
  await requireNewFolder(out); // before long work
  const count = (folder: Awaited<ReturnType<typeof openPipeline>>): number =>
    [...recorded((s) => recordUnet(s, folder.unetConfig)).values()].reduce((n, shape) => n + sizeOf(shape), 0);
  const teacher = await openPipeline(await resolveModel(model, { log }), log);
  await compressPipeline(teacher, preset, out);
  const student = await openPipeline(out, log); // every tensor is there and fits its config
  log.info(
    `${out}: ${BLOCK_REMOVALS[preset].summary}; U-Net ${count(student).toLocaleString('en')} parameters, the teacher's ${count(teacher).toLocaleString('en')}`,
  );
}
