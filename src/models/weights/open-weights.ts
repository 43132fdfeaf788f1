/** Finds the weights of a component folder as the hub publishes them. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../errors.js';
import type { Logger } from '../../registry/tokens.js';
import { openSafetensors, SafetensorsFile } from './safetensors.js';
import { convertedBin } from './torch-bin-cache.js';
import type { TensorEntry, WeightFile } from './weight-file.js';

export interface OpenWeightsOptions {
  /** e.g. `fp16` reads `<stem>.fp16.safetensors` */
  readonly variant?: string;
  readonly log?: Logger;
}

/**
 * Opens `<stem>.safetensors`, its shards, or `<stem>.bin` / `pytorch_model.bin` (converted once into the cache).
 * @param stem `diffusion_pytorch_model` or `model`
 * @throws UserError listing what was looked for and what is there
 */
export async function openWeights(folder: string, stem: string, { variant, log }: OpenWeightsOptions = {}): Promise<WeightFile> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${folder}: cannot be read (${error.code}); a diffusers pipeline has this folder`, { cause: error });
  });
  const base = variant ? `${stem}.${variant}` : stem;
  const single = `${base}.safetensors`, index = `${stem}.safetensors.index${variant ? `.${variant}` : ''}.json`;
  if (names.includes(single)) return openSafetensors(join(folder, single));
  if (names.includes(index)) return openShards(folder, index);
  const bins = [`${base}.bin`, ...(stem === 'model' ? [variant ? `pytorch_model.${variant}.bin` : 'pytorch_model.bin'] : [])];
  const bin = bins.find((name) => names.includes(name));
  if (bin) return openSafetensors(await convertedBin(join(folder, bin), log));
  throw new UserError(`${folder}: no weights; looked for ${[single, index, ...bins].join(', ')}, found ${names.join(', ') || 'nothing'}`);
}

/** Several files and an index that says which tensor is in which. */
async function openShards(folder: string, index: string): Promise<WeightFile> {
  const path = join(folder, index);
  const map = parseIndex(path, await readFile(path, 'utf8'));
  const shards = new Map<string, WeightFile>();
  for (const file of new Set(Object.values(map))) shards.set(file, await openSafetensors(join(folder, file)));
  const entries = new Map<string, TensorEntry>();
  for (const [name, file] of Object.entries(map)) {
    const entry = shards.get(file)?.entries.get(name);
    if (!entry) throw new UserError(`${path}: says "${name}" is in ${file}, where it is not; download the folder again`);
    entries.set(name, entry);
  }
  return new SafetensorsFile([...shards.values()].flatMap((s) => s.files), entries, {});
}

function parseIndex(path: string, text: string): Record<string, string> {
  try {
    const { weight_map: map } = JSON.parse(text) as { weight_map?: Record<string, string> };
    if (map && typeof map === 'object') return map;
  } catch (error) {
    throw new UserError(`${path}: not JSON (${(error as Error).message}); download it again`, { cause: error });
  }
  throw new UserError(`${path}: has no weight_map; download it again`);
}
