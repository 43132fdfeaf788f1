/** Adapters of several networks in one file: as diffusers saves them, or as kohya's scripts and LyCORIS do. */
import { UserError } from '../base/errors.js';
import { openSafetensors } from '../formats/safetensors/safetensors.js';
import { checkBase, type BaseRecord } from './base-record.js';
import { loadDiffusers } from './diffusers-lora.js';
import { isKohyaKey, loadKohya } from './kohya.js';
import type { PartParameters, PartValues } from './parts.js';
import { adaptableModules } from './targets.js';

/** Reads either kind, told apart by its keys. @throws UserError naming the first key that fits nothing */
export async function loadSingleFile(path: string, parameters: PartParameters, base?: BaseRecord): Promise<PartValues> {
  const file = await openSafetensors(path);
  if (base) checkBase(path, file.metadata, base);
  const modules = { unet: adaptableModules(parameters.unet), text_encoder: adaptableModules(parameters.text_encoder) };
  const load = [...file.entries.keys()].some(isKohyaKey) ? loadKohya : loadDiffusers;
  const values = await load(path, file, modules);
  if (!values.unet && !values.text_encoder) throw new UserError(`${path}: holds no tensors; it is not a LoRA`);
  return values;
}
