/** Finds out in which format a LoRA is stored, and loads it. */
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../base/errors.js';
import { pipelineFingerprint, type PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { readJson } from '../formats/read-json.js';
import { recorded, recordText, recordUnet } from '../networks/record.js';
import type { BaseRecord } from './base-record.js';
import { PARTS, type Part, type PartParameters, type PartValues } from './parts.js';
import { loadPeft } from './peft.js';
import { loadSingleFile } from './single-file.js';

/** Of PEFT's `auto_mapping`. */
const CLASSES: Readonly<Record<string, Part>> = { UNet2DConditionModel: 'unet', CLIPTextModel: 'text_encoder' };

/**
 * @param path a PEFT folder, a folder with PEFT folders `unet` and `text_encoder` (a checkpoint of a run), a safetensors file
 * of diffusers or kohya, or a folder with one such file
 * @param parameters names and shapes of the base model's parameters
 * @param base what it must have been trained on, if it says so
 * @throws UserError when nothing is found there or it does not fit the base model
 */
export async function loadAdapter(path: string, parameters: PartParameters, base?: BaseRecord): Promise<PartValues> {
  const where = resolve(path);
  const info = await stat(where).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${where}: cannot be read (${error.code}); give an adapter folder or a .safetensors file`, {
      cause: error,
    });
  });
  if (info.isFile()) return loadSingleFile(where, parameters, base);
  const names = await readdir(where);
  if (names.includes('adapter_config.json')) {
    const part = await partOf(where);
    return { [part]: await loadPeft(where, part, parameters[part], base) };
  }
  const found: PartValues = {};
  for (const part of PARTS) {
    const inside = names.includes(part) ? await readdir(join(where, part)) : [];
    if (inside.includes('adapter_config.json'))
      found[part] = await loadPeft(join(where, part), part, parameters[part], base);
  }
  if (found.unet || found.text_encoder) return found;
  const files = names.filter((n) => n.endsWith('.safetensors'));
  if (files.length === 1) return loadSingleFile(join(where, files[0]), parameters, base);
  throw new UserError(
    `${where}: no adapter; looked for adapter_config.json (also in unet, text_encoder) and one .safetensors file, found ${names.join(', ') || 'nothing'}`,
  );
}

/** A checkpoint may hold an adapter of one network and all of another one. @throws UserError when it does: nothing may get lost */
export async function refuseWholeNetworks(path: string): Promise<void> {
  const names = (await stat(path)).isDirectory() ? await readdir(path) : [];
  for (const part of PARTS) {
    const inside = names.includes(part) ? await readdir(join(path, part)) : [];
    if (inside.includes('config.json'))
      throw new UserError(
        `${join(path, part)}: all of this network was trained, an adapter cannot hold it; "diffengine export-pipeline" writes it, and ${join(path, part === 'unet' ? 'text_encoder' : 'unet')} alone is the adapter`,
      );
  }
}

export interface FittedAdapter {
  readonly values: PartValues;
  readonly parameters: PartParameters;
  readonly base: BaseRecord;
}

/** `loadAdapter` for an open pipeline. @param model how its user calls it, for errors and records */
export async function loadAdapterFor(pipeline: PipelineFolder, model: string, path: string): Promise<FittedAdapter> {
  const parameters = {
    unet: recorded((s) => recordUnet(s, pipeline.unetConfig)),
    text_encoder: recorded((s) => recordText(s, pipeline.textConfig)),
  };
  const base = { model, fingerprint: await pipelineFingerprint(pipeline) };
  return { values: await loadAdapter(path, parameters, base), parameters, base };
}

/** Which network a single PEFT folder is for: by the class it names, else by the folder's name. */
async function partOf(folder: string): Promise<Part> {
  const { auto_mapping: mapping } = await readJson(
    join(folder, 'adapter_config.json'),
    'a PEFT adapter folder has one',
  );
  const named = CLASSES[(mapping as { base_model_class?: string } | null | undefined)?.base_model_class ?? ''];
  return named ?? PARTS.find((part) => part === basename(folder)) ?? 'unet';
}
