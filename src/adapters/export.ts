/** An adapter of any origin in the format that another tool wants. */
import { join } from 'node:path';
import type { HostTensor, Shape } from '../tensor/host.js';
import type { FittedAdapter } from './load-adapter.js';
import { parameterName, SIDES, type AdapterValues } from './lora-adapter.js';
import { adaptableModules, pairOf, type LoraConfig, type LoraPair } from './lora-config.js';
import { architectureHash, savePeft } from './peft.js';
import { saveDiffusersLora, saveKohyaLora, type Part } from './single-file.js';

/** What reads it, and whether it is one file or a folder. */
export const EXPORTS = {
  peft: 'folder of PEFT folders, unet and text_encoder',
  diffusers: 'file for load_lora_weights of diffusers',
  kohya: 'file for A1111, ComfyUI and kohya',
} as const;
export type ExportFormat = keyof typeof EXPORTS;

export async function exportAdapter(
  { values, parameters, base }: FittedAdapter,
  format: ExportFormat,
  out: string,
): Promise<void> {
  if (format === 'diffusers') return saveDiffusersLora(out, values, base);
  if (format === 'kohya') return saveKohyaLora(out, values, base);
  for (const [part, adapter] of Object.entries(values) as [Part, AdapterValues][]) {
    const { config, pairs, tensors } = described(part, adapter, adaptableModules(parameters[part]));
    await savePeft(join(out, part), part, config, pairs, tensors, {
      ...base,
      architecture: architectureHash(parameters[part]),
    });
  }
}

/** The PEFT config that has exactly these pairs: the commonest r and alpha, and a pattern for every other one. */
function described(
  part: Part,
  adapter: AdapterValues,
  modules: ReadonlyMap<string, Shape>,
): { config: LoraConfig; pairs: Map<string, LoraPair>; tensors: Record<string, HostTensor> } {
  const pairs = new Map<string, LoraPair>(),
    tensors: Record<string, HostTensor> = {};
  const ranks = new Map<string, number>(),
    alphas = new Map<string, number>();
  for (const [module, pair] of adapter) {
    const rank = pair.lora_A.shape[0];
    pairs.set(module, pairOf(module, modules.get(module) as Shape, rank, pair.scale));
    for (const side of SIDES) tensors[parameterName(part, module, side)] = pair[side];
    ranks.set(module, rank);
    alphas.set(module, pair.scale * rank);
  }
  const r = commonest(ranks.values()),
    alpha = commonest(alphas.values());
  const others = (of: ReadonlyMap<string, number>, usual: number): Record<string, number> =>
    Object.fromEntries([...of].filter(([, v]) => v !== usual));
  return {
    config: {
      r,
      lora_alpha: alpha,
      target_modules: [...adapter.keys()],
      rank_pattern: others(ranks, r),
      alpha_pattern: others(alphas, alpha),
    },
    pairs,
    tensors,
  };
}

function commonest(values: Iterable<number>): number {
  const counts = new Map<number, number>();
  for (const v of values) counts.set(v, (counts.get(v) ?? 0) + 1);
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
}
