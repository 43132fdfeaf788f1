/** Adapters in the weights they change, so that tools without them can use the model. */
import { join } from 'node:path';
import type { Logger } from '../base/logger.js';
import { derivePipeline } from '../formats/pipeline/derived-pipeline.js';
import { sayPrediction } from '../formats/pipeline/trained-prediction.js';
import type { PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { writeSafetensorsStream, type WriteProgress } from '../formats/safetensors/safetensors.js';
import type { WeightFile } from '../formats/weight-file.js';
import { mergedWeight } from './merged-weight.js';
import type { AdapterValues } from './network-adapter.js';
import type { PartValues } from './parts.js';

/**
 * Writes all of `weights` to `path`, those of adapted modules merged, one tensor in memory at a time.
 * @param strength multiplies the adapter; 1 as trained
 */
export async function writeMerged(
  path: string,
  weights: WeightFile,
  adapter: AdapterValues,
  strength = 1,
  storedName: (name: string) => string = (name) => name,
  progress?: WriteProgress,
): Promise<void> {
  const byStored = new Map([...adapter].map(([module, trained]) => [storedName(`${module}.weight`), trained]));
  await writeSafetensorsStream(
    path,
    [...weights.entries.values()],
    async ({ name }) => {
      const trained = byStored.get(name);
      const tensor = await weights.read(name);
      return trained ? mergedWeight(tensor, trained, strength) : tensor;
    },
    { format: 'pt' },
    progress,
  );
}

/**
 * Writes a pipeline folder whose networks have the adapter in their weights; the rest is copied from `base`.
 * @param prediction what the adapter was trained to predict, where that is not what the scheduler of `base` says
 * @throws UserError when `out` exists and is not empty
 */
export async function mergePipeline(
  base: PipelineFolder,
  adapter: PartValues,
  out: string,
  strength = 1,
  log?: Logger,
  prediction?: string,
): Promise<void> {
  const { unet, text_encoder: text } = adapter;
  const stored = (source: PipelineFolder['unet']) => (name: string) => source.storedName(name);
  await derivePipeline(base.path, out, {
    ...(prediction !== undefined && { scheduler: (folder: string) => sayPrediction(folder, prediction) }),
    ...(unet && {
      unet: (folder: string) =>
        writeMerged(
          join(folder, 'diffusion_pytorch_model.safetensors'),
          base.unet.weights,
          unet,
          strength,
          stored(base.unet),
          log && { log, of: 'unet' },
        ),
    }),
    ...(text && {
      text_encoder: (folder: string) =>
        writeMerged(
          join(folder, 'model.safetensors'),
          base.text.weights,
          text,
          strength,
          stored(base.text),
          log && { log, of: 'text_encoder' },
        ),
    }),
  });
}
