/** One network of a single-file checkpoint, as the weights of a component folder: other names, the same bytes. */
import { basename, dirname, join } from 'node:path';
import { FileError } from '../../base/errors.js';
import { parseClipTextConfig } from '../../networks/clip-text.js';
import type { RawConfig } from '../../networks/component-config.js';
import { recorded, recordText, recordUnet, recordVae } from '../../networks/record.js';
import { parseUNetConfig } from '../../networks/unet-config.js';
import { parseVaeConfig } from '../../networks/vae-config.js';
import type { Shape } from '../../tensor/host.js';
import { readJson } from '../read-json.js';
import { openSafetensors } from '../safetensors/safetensors.js';
import type { TensorEntry, WeightFile } from '../weight-file.js';
import { weightView } from '../weight-view.js';
import { clipName, openClipName, PREFIXES, unetNames, vaeNames, type Part } from './ldm-names.js';

/** What a component folder holds instead of weights, in the cache's folder of a checkpoint. */
export const POINTERS: Readonly<Record<Part, string>> = {
  unet: 'diffusion_pytorch_model.checkpoint.json',
  vae: 'diffusion_pytorch_model.checkpoint.json',
  text_encoder: 'model.checkpoint.json',
};
export const isPointer = (name: string): boolean => name.endsWith('.checkpoint.json');

/** Tensors of a checkpoint by the names of CompVis; some tools leave out the level `text_model`. */
export function checkpointEntries(weights: WeightFile): ReadonlyMap<string, TensorEntry> {
  const bare = new RegExp(`^${PREFIXES.clip.replaceAll('.', '\\.')}(?=embeddings|encoder|final_layer_norm)`);
  return new Map([...weights.entries].map(([name, e]) => [name.replace(bare, `${PREFIXES.clip}text_model.`), e]));
}

/** Names and shapes of a part's tensors in diffusers and transformers. */
export function partShapes(part: Part, config: RawConfig, where: string): ReadonlyMap<string, Shape> {
  if (part === 'unet') return recorded((s) => recordUnet(s, parseUNetConfig(config, where)));
  if (part === 'vae') return recorded((s) => recordVae(s, parseVaeConfig(config, where)));
  return recorded((s) => recordText(s, parseClipTextConfig(config, where)));
}

/** Where each tensor of a part is in the checkpoint; of OpenCLIP's joint projections one third. */
export function partNames(
  part: Part,
  config: RawConfig,
  where: string,
  openClip: boolean,
): (name: string) => { readonly name: string; readonly third?: 0 | 1 | 2 } {
  if (part === 'text_encoder') return openClip ? openClipName : (name) => ({ name: clipName(name) });
  const names = part === 'unet' ? unetNames(parseUNetConfig(config, where)) : vaeNames(parseVaeConfig(config, where));
  return (name) => ({ name: names(name) });
}

/** Reads the tensors of `part` in place. Those that the checkpoint lacks are not in it. */
export function partView(weights: WeightFile, part: Part, config: RawConfig, where: string): WeightFile {
  const entries = checkpointEntries(weights),
    nameOf = partNames(part, config, where, isOpenClip(entries));
  return weightView(
    weights,
    [...partShapes(part, config, where)].flatMap(([name, shape]) => {
      const { name: stored, third } = nameOf(name),
        entry = entries.get(stored);
      if (!entry) return [];
      if (third === undefined) return [{ ...entry, name, shape: sameValues(entry.shape, shape) ? shape : entry.shape }];
      const bytes = entry.bytes / 3,
        [rows, ...rest] = entry.shape;
      return [{ ...entry, name, shape: [rows / 3, ...rest], bytes, offset: entry.offset + third * bytes }];
    }),
  );
}

export const isOpenClip = (entries: { has(name: string): boolean }): boolean =>
  entries.has(`${PREFIXES.openClip}token_embedding.weight`);

/** A 1x1 convolution and a linear layer hold the same values in the same order. */
function sameValues(a: Shape, b: Shape): boolean {
  const core = (shape: Shape): string => String([...shape, 1, 1, 1, 1].slice(0, 4));
  return core(a) === core(b);
}

/** Opens what a pointer in a component folder names. @throws UserError when the checkpoint is gone */
export async function openCheckpointPart(folder: string, pointer: string): Promise<WeightFile> {
  const { checkpoint } = await readJson(join(folder, pointer), 'it names the checkpoint');
  const part = basename(folder) as Part,
    where = join(folder, 'config.json');
  if (typeof checkpoint !== 'string' || !Object.hasOwn(POINTERS, part))
    throw new FileError(`${join(folder, pointer)}: names no checkpoint; remove ${dirname(folder)}, it is made again`);
  return partView(await openSafetensors(checkpoint), part, await readJson(where, 'every component has one'), where);
}
