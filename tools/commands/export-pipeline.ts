import { Option, type Command } from 'commander';
import type { FloatType } from '../../src/formats/float-formats.js';

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
  { out, sdmodel, dtype }: { out: string; sdmodel?: string; dtype?: FloatType },
): Promise<void> {
  const { existsSync } = await import('node:fs');
  const { join } = await import('node:path');
  const { checkpointPath, recordedBase } = await import('../../src/engine/checkpoint-path.js');
  const { exportPipeline } = await import('../../src/models/export-pipeline.js');
  const { openPipeline } = await import('../../src/formats/pipeline/pipeline-folder.js');
  const { resolveModel } = await import('../../src/formats/hub/hub.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { requireNewFolder } = await import('../../src/base/atomic-folder.js');
  const log = new ConsoleLogger();
  await requireNewFolder(out); // before long work
  const checkpoint = await checkpointPath(path);
  const base = await resolveModel(sdmodel ?? (await recordedBase(checkpoint)), { log });
  const parts = await exportPipeline(checkpoint, base, out, dtype);
  await openPipeline(out, log); // every tensor is there and fits its config
  for (const part of ['unet', 'text_encoder'])
    if (existsSync(join(checkpoint, part, 'adapter_config.json')))
      log.warn(`${join(checkpoint, part)}: an adapter, which is not in ${out}; demo_lora uses both`);
  log.info(`${out}: ${parts.join(' and ')} of ${checkpoint}, the rest of ${base}`);
}
