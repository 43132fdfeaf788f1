/** Low-rank updates added to the weights they adapt, so that tools without LoRA can use them. */
import { join } from 'node:path';
import { floats, type HostTensor } from '../tensor/host.js';
import { derivePipeline } from '../formats/pipeline/derived-pipeline.js';
import type { PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { fromFloat32, toFloat32 } from '../formats/float-formats.js';
import { writeSafetensorsStream } from '../formats/safetensors/safetensors.js';
import type { WeightFile } from '../formats/weight-file.js';
import type { AdapterValues } from './lora-adapter.js';
import type { PartValues } from './single-file.js';

/**
 * W + scale * B A, in float32 or better, returned in W's dtype (float16 and bfloat16 rounded to nearest even).
 * @param weight [out, in] or [O, C, kh, kw]
 * @param pair A [R, in] or [R, C, kh, kw]; B [out, R] or [O, R, 1, 1], both float32
 */
export function mergePair(
  weight: HostTensor,
  { lora_A, lora_B, scale }: { lora_A: HostTensor; lora_B: HostTensor; scale: number },
): HostTensor {
  const rank = lora_A.shape[0],
    A = floats(lora_A),
    B = floats(lora_B);
  const width = A.length / rank,
    merged = floats(toFloat32(weight)).slice();
  const row = new Float64Array(width);
  for (let o = 0; o < merged.length / width; o++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const b = scale * B[o * rank + r];
      for (let i = 0; i < width; i++) row[i] += b * A[r * width + i];
    }
    for (let i = 0; i < width; i++) merged[o * width + i] += row[i];
  }
  return fromFloat32({ dtype: 'float32', shape: weight.shape, data: merged }, weight.dtype);
}

/**
 * Writes all of `weights` to `path`, those of adapted modules merged, one tensor in memory at a time.
 * @param strength multiplies the adapter; 1 as trained
 */
export async function writeMerged(
  path: string,
  weights: WeightFile,
  adapter: AdapterValues,
  strength = 1,
): Promise<void> {
  await writeSafetensorsStream(
    path,
    [...weights.entries.values()],
    async ({ name }) => {
      const pair = name.endsWith('.weight') ? adapter.get(name.slice(0, -'.weight'.length)) : undefined;
      const tensor = await weights.read(name);
      return pair ? mergePair(tensor, { ...pair, scale: pair.scale * strength }) : tensor;
    },
    { format: 'pt' },
  );
}

/**
 * Writes a pipeline folder whose networks have the adapter in their weights; the rest is copied from `base`.
 * @throws UserError when `out` exists and is not empty
 */
export async function mergePipeline(
  base: PipelineFolder,
  adapter: PartValues,
  out: string,
  strength = 1,
): Promise<void> {
  const { unet, text_encoder: text } = adapter;
  await derivePipeline(base.path, out, {
    ...(unet && {
      unet: (folder: string) =>
        writeMerged(join(folder, 'diffusion_pytorch_model.safetensors'), base.unet.weights, unet, strength),
    }),
    ...(text && {
      text_encoder: (folder: string) =>
        writeMerged(join(folder, 'model.safetensors'), base.text.weights, text, strength),
    }),
  });
}
