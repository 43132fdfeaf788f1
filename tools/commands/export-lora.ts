import { Option, type Command } from 'commander';
import type { ExportFormat } from '../../src/adapters/export.js';

export function register(program: Command): void {
  program
    .command('export-lora')
    .description('write an adapter in the format of another tool')
    .argument('<pipeline>', 'base model of the adapter: a folder, or an id of the hub')
    .argument('<adapter>', 'checkpoint or work dir of a run, or an adapter of PEFT, diffusers or kohya')
    .addOption(
      new Option(
        '--format <format>',
        'peft: a folder; diffusers: a file for load_lora_weights; kohya: a file for A1111 and ComfyUI',
      )
        .choices(['peft', 'diffusers', 'kohya'])
        .default('kohya'),
    )
    .requiredOption('--out <path>', 'the file (.safetensors), or the folder for peft')
    .addHelpText(
      'after',
      `
Example:
  diffengine export-lora segmind/small-sd work_dirs/small_sd_dreambooth_lora_dog/step999 --format kohya --out dog.safetensors`,
    )
    .action(exportLora);
}

async function exportLora(
  model: string,
  adapter: string,
  { format, out }: { format: ExportFormat; out: string },
): Promise<void> {
  const { checkpointPath } = await import('../../src/engine/checkpoint-path.js');
  const { exportAdapter, EXPORTS } = await import('../../src/adapters/export.js');
  const { loadAdapterFor, refuseWholeNetworks } = await import('../../src/adapters/load-adapter.js');
  const { openPipeline } = await import('../../src/formats/pipeline/pipeline-folder.js');
  const { resolveModel } = await import('../../src/formats/hub/hub.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { isStdout, outputPlace } = await import('../../src/base/output-place.js');
  const isFolder = format === 'peft';
  const log = new ConsoleLogger(!isFolder && (await isStdout(await outputPlace(out))) ? { out: process.stderr } : {});
  const path = await checkpointPath(adapter);
  await refuseWholeNetworks(path);
  const base = await openPipeline(await resolveModel(model, { log }), log);
  await exportAdapter(await loadAdapterFor(base, model, path), format, out);
  log.info(`wrote ${out}: ${EXPORTS[format]}`);
}
