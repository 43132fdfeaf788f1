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
    .action(mergeLora);
}

async function mergeLora(
  model: string,
  adapter: string,
  { out, loraScale }: { out: string; loraScale: number },
): Promise<void> {
  const { checkpointPath } = await import('../../src/engine/checkpoint-path.js');
  const { loadAdapterFor, refuseWholeNetworks } = await import('../../src/adapters/load-adapter.js');
  const { mergePipeline } = await import('../../src/adapters/merge.js');
  const { openPipeline } = await import('../../src/formats/pipeline/pipeline-folder.js');
  const { resolveModel } = await import('../../src/formats/hub/hub.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { requireNewFolder } = await import('../../src/base/atomic-folder.js');
  const { outputPlace } = await import('../../src/base/output-place.js');
  const log = new ConsoleLogger();
  const isOneFile = out.endsWith('.safetensors');
  await (isOneFile ? outputPlace(out) : requireNewFolder(out)); // before long work
  const path = await checkpointPath(adapter);
  await refuseWholeNetworks(path);
  const base = await openPipeline(await resolveModel(model, { log }), log);
  const { values } = await loadAdapterFor(base, model, path);
  if (isOneFile) {
    const { rm } = await import('node:fs/promises');
    const { writeCheckpoint } = await import('../../src/formats/single-file/write-checkpoint.js');
    const aside = `${out}.${process.pid}.tmp`; // beside it: there is room for the file, so there is for the folder
    try {
      await mergePipeline(base, values, aside, loraScale);
      await writeCheckpoint(aside, out, { log });
    } finally {
      await rm(aside, { recursive: true, force: true });
    }
  } else {
    await mergePipeline(base, values, out, loraScale);
  }
  const parts = [
    values.unet && `${values.unet.size} modules of the U-Net`,
    values.text_encoder && `${values.text_encoder.size} of the text encoder`,
  ].filter(Boolean);
  log.info(`${out}: merged ${parts.join(' and ')}`);
}
