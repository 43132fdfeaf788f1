import { Option, type Command } from 'commander';
import type { FloatType } from '../../src/library/convert.js';

export function register(program: Command): void {
  program
    .command('export-pipeline')
    .description(
      'write a complete pipeline from a checkpoint whose networks were trained whole, such as a distilled student',
    )
    .argument('<checkpoint>', 'checkpoint or work dir of a run')
    .requiredOption('--out <folder>', 'new folder for the pipeline')
    .option(
      '--sdmodel <model>',
      'pipeline that the run started from, a folder or an id of the hub; by default the one the checkpoint names',
    )
    .addOption(
      new Option('--dtype <type>', 'of the trained networks; by default float32, as they were trained').choices([
        'float32',
        'float16',
      ]),
    )
    .addHelpText(
      'after',
      `
Example:
  diffengine export-pipeline work_dirs/small_sd_distill_bk_sdm --out my-small-sd --dtype float16`,
    )
    .action(exportCheckpoint);
}

async function exportCheckpoint(
  path: string,
  { sdmodel: baseModel, ...options }: { out: string; sdmodel?: string; dtype?: FloatType },
): Promise<void> {
  const { exportPipeline } = await import('../../src/library/export-pipeline.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const log = new ConsoleLogger();
  const { out, parts, checkpoint, base } = await exportPipeline(path, { ...options, baseModel, log });
  log.info(`${out}: ${parts.join(' and ')} of ${checkpoint}, the rest of ${base}`);
}
