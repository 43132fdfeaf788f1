/** Low-rank updates added to the weights they adapt, so that tools without LoRA can use them. */
import { floats, type HostTensor } from '../../tensor/host.js';
import { fromFloat32, toFloat32 } from '../weights/convert.js';
import { writeSafetensorsStream } from '../weights/safetensors.js';
import type { WeightFile } from '../weights/weight-file.js';
import type { AdapterValues } from './lora-adapter.js';

/**
 * W + scale * B A, in float32 or better, returned in W's dtype (float16 and bfloat16 rounded to nearest even).
 * @param weight [out, in] or [O, C, kh, kw]
 * @param pair A [R, in] or [R, C, kh, kw]; B [out, R] or [O, R, 1, 1], both float32
 */
export function mergePair(weight: HostTensor, { lora_A, lora_B, scale }: { lora_A: HostTensor; lora_B: HostTensor; scale: number }): HostTensor {
  const rank = lora_A.shape[0], A = floats(lora_A), B = floats(lora_B);
  const width = A.length / rank, merged = floats(toFloat32(weight)).slice();
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

/** Writes all of `weights` to `path`, those of adapted modules merged, one tensor in memory at a time. */
export async function writeMerged(path: string, weights: WeightFile, adapter: AdapterValues): Promise<void> {
  await writeSafetensorsStream(path, [...weights.entries.values()], async ({ name }) => {
    const pair = name.endsWith('.weight') ? adapter.get(name.slice(0, -'.weight'.length)) : undefined;
    const tensor = await weights.read(name);
    return pair ? mergePair(tensor, pair) : tensor;
  }, { format: 'pt' });
}
