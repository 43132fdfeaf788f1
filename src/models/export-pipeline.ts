/** A complete pipeline folder from a checkpoint whose networks were trained whole: a distilled student, a fine-tuned model. */
import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { derivePipeline, type WriteComponent } from '../formats/pipeline/derived-pipeline.js';
import { sayPrediction, trainedPrediction } from '../formats/pipeline/trained-prediction.js';
import type { FloatType } from '../formats/float-formats.js';
import { openSafetensors } from '../formats/safetensors/safetensors.js';
import { writeAs } from '../formats/safetensors/write-as.js';

const TRAINED = { unet: 'diffusion_pytorch_model.safetensors', text_encoder: 'model.safetensors' } as const;

/**
 * Writes the base pipeline with the checkpoint's networks in place of its own.
 * @param checkpoint a folder with `unet/` or `text_encoder/` in diffusers' format
 * @param base folder of the pipeline that the run started from
 * @param options.dtype of the trained networks; by default as stored  @param options.log shows progress
 * @returns the components that are the checkpoint's
 * @throws UserError when it holds no whole network, or `out` is not empty
 */
export async function exportPipeline(
  checkpoint: string,
  base: string,
  out: string,
  { dtype, log }: { readonly dtype?: FloatType | undefined; readonly log?: Logger | undefined } = {},
): Promise<string[]> {
  const found = Object.entries(TRAINED).filter(([part, file]) => existsSync(join(checkpoint, part, file)));
  if (found.length === 0)
    throw new UserError(
      `${checkpoint}: no ${join('unet', TRAINED.unet)} in it; adapters are added to their base with "diffengine merge-lora"`,
    );
  const replace = found.map(([part, file]): [string, WriteComponent] => [
    part,
    async (folder) => {
      const weights = await openSafetensors(join(checkpoint, part, file));
      await copyFile(join(checkpoint, part, 'config.json'), join(folder, 'config.json'));
      await writeAs(
        join(folder, file),
        { specs: [...weights.entries.values()], read: (name) => weights.read(name) },
        { dtype, progress: log && { log, of: part } },
      );
    },
  ]);
  const prediction = await trainedPrediction(checkpoint);
  await derivePipeline(base, out, {
    ...Object.fromEntries(replace),
    ...(prediction !== undefined && { scheduler: (folder: string) => sayPrediction(folder, prediction) }),
  });
  return found.map(([part]) => part);
}
