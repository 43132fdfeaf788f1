/** PEFT adapters as files that a browser reads. */
import { kindOf, peftModules } from '../adapters/peft-modules.js';
import type { PartValues } from '../adapters/parts.js';
import { FileError, UserError } from '../base/errors.js';
import { safetensorsOf } from '../formats/safetensors/safetensors-bytes.js';
import type { Shape } from '../tensor/host.js';
import type { Files } from './files.js';

const PARTS = ['unet', 'text_encoder'] as const;
type Part = (typeof PARTS)[number];

/** What the exported model was made of; adapters say the same of theirs. */
export interface ExportedBase {
  readonly model: string;
  readonly fingerprint: string | undefined;
}

/**
 * @param files a checkpoint of a run (`unet/`, `text_encoder/`), or the folder of one PEFT adapter
 * @param parameters names and shapes of a network's parameters
 * @throws UserError when there is no adapter, or it is for another model
 */
export async function readAdapter(
  files: Files,
  parameters: (part: Part) => Promise<ReadonlyMap<string, Shape>>,
  base: ExportedBase,
): Promise<PartValues> {
  const found: PartValues = {};
  for (const part of PARTS) {
    const config = await files.findJson(`${part}/adapter_config.json`);
    if (config) found[part] = await one(files, `${part}/`, config, part, await parameters(part), base);
  }
  if (found.unet || found.text_encoder) return found;
  const config = await files.json('adapter_config.json', 'a PEFT adapter, or a checkpoint with unet/, has one'),
    mapping = config['auto_mapping'] as { base_model_class?: string } | null | undefined,
    part = mapping?.base_model_class === 'CLIPTextModel' ? 'text_encoder' : 'unet';
  return { [part]: await one(files, '', config, part, await parameters(part), base) };
}

async function one(
  files: Files,
  folder: string,
  raw: Record<string, unknown>,
  part: Part,
  parameters: ReadonlyMap<string, Shape>,
  base: ExportedBase,
): ReturnType<typeof peftModules> {
  const where = files.at(`${folder}adapter_config.json`),
    name = `${folder}adapter_model.safetensors`,
    path = files.at(name);
  const bytes = await files.bytes(name, 'it belongs to adapter_config.json');
  if (bytes.byteLength === 0) throw new FileError(`${path}: empty; copy it again`);
  const { entries, metadata, read } = safetensorsOf(bytes, path),
    { base_fingerprint: fingerprint, base_model: model } = metadata;
  if (fingerprint !== undefined && base.fingerprint !== undefined && fingerprint !== base.fingerprint)
    throw new UserError(
      `${path}: trained on "${model}" (weights ${fingerprint.slice(0, 12)}), this export is of "${base.model}" (weights ${base.fingerprint.slice(0, 12)}); export the model it was trained on`,
      { code: 'MODEL_MISMATCH' },
    );
  return peftModules({ path, where, raw, kind: kindOf(where, raw), keys: entries.keys(), read }, part, parameters);
}
