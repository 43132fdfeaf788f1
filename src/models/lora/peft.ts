/** PEFT's adapter folder: adapter_config.json and adapter_model.safetensors. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../errors.js';
import { writeFileAtomic } from '../../atomic-file.js';
import { float32, floats, type HostTensor, type Shape } from '../../tensor/host.js';
import { readJson } from '../pipeline-folder.js';
import { openSafetensors, writeSafetensors } from '../weights/safetensors.js';
import { parameterName, SIDES, type AdapterValues } from './lora-adapter.js';
import { adaptableModules, resolvePairs, type LoraConfig, type LoraPair } from './lora-config.js';

const PREFIX = 'base_model.model.';
/** What PEFT calls the classes that we adapt. */
const MAPPING: Readonly<Record<string, object>> = {
  unet: { base_model_class: 'UNet2DConditionModel', parent_library: 'diffusers.models.unets.unet_2d_condition' },
  text_encoder: { base_model_class: 'CLIPTextModel', parent_library: 'transformers.models.clip.modeling_clip' },
};

/** Who the adapter was trained on; kept in the weights' metadata, which PEFT ignores. */
export interface BaseRecord { readonly model: string; readonly fingerprint: string }

/** Writes one network's adapter. @param part `unet` or `text_encoder` @param values by parameter name */
export async function savePeft(folder: string, part: string, config: LoraConfig, pairs: ReadonlyMap<string, LoraPair>, values: Readonly<Record<string, HostTensor>>, base: BaseRecord): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors: Record<string, HostTensor> = {};
  for (const { module } of pairs.values()) for (const side of SIDES) tensors[`${PREFIX}${module}.${side}.weight`] = values[parameterName(part, module, side)];
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors, { format: 'pt', base_model: base.model, base_fingerprint: base.fingerprint });
  await writeFileAtomic(join(folder, 'adapter_config.json'), `${JSON.stringify({
    alpha_pattern: config.alpha_pattern ?? {},
    auto_mapping: MAPPING[part] ?? null,
    base_model_name_or_path: base.model,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: config.init_lora_weights ?? true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: config.lora_alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: 'LORA',
    r: config.r,
    rank_pattern: config.rank_pattern ?? {},
    revision: null,
    target_modules: config.target_modules,
    task_type: null,
    use_rslora: config.use_rslora ?? false,
  }, null, 2)}\n`);
}

/** Reads a PEFT folder for a network with these parameters. @throws UserError for anything that does not fit */
export async function loadPeft(folder: string, parameters: ReadonlyMap<string, Shape>, base?: BaseRecord): Promise<AdapterValues> {
  const where = join(folder, 'adapter_config.json');
  const raw = await readJson(where, 'a PEFT adapter folder has one');
  checkSupported(where, raw);
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors'));
  if (base) checkBase(file.files[0], file.metadata, base);
  const pairs = resolvePairs(raw as unknown as LoraConfig, adaptableModules(parameters), where);
  const values = new Map<string, { lora_A: HostTensor; lora_B: HostTensor; scale: number }>();
  const used = new Set<string>();
  const read = async (module: string, side: 'lora_A' | 'lora_B', shape: Shape): Promise<HostTensor> => {
    // Files of running PEFT models carry the adapter's name.
    const name = [`${PREFIX}${module}.${side}.weight`, `${PREFIX}${module}.${side}.default.weight`].find((n) => file.entries.has(n));
    if (name === undefined) throw new UserError(`${file.files[0]}: no ${side} for module "${module}", which ${where} targets; the two files do not belong together`);
    used.add(name);
    const tensor = await file.readFloat32(name);
    if (String(tensor.shape) !== String(shape)) throw new UserError(`${file.files[0]}: "${name}" has shape [${tensor.shape}], this model needs [${shape}]; the adapter is for another base model`);
    return float32(floats(tensor), shape);
  };
  for (const pair of pairs.values()) {
    values.set(pair.module, { lora_A: await read(pair.module, 'lora_A', pair.shapeA), lora_B: await read(pair.module, 'lora_B', pair.shapeB), scale: pair.scale });
  }
  const stray = [...file.entries.keys()].find((n) => !used.has(n));
  if (stray !== undefined) throw new UserError(`${file.files[0]}: "${stray}" fits no module of this model; the adapter is for another base model`);
  return values;
}

function checkSupported(where: string, raw: Readonly<Record<string, unknown>>): void {
  const only: Readonly<Record<string, readonly unknown[]>> = {
    peft_type: ['LORA'], bias: ['none'], fan_in_fan_out: [false], modules_to_save: [null], layers_to_transform: [null], layers_pattern: [null], use_dora: [false], target_parameters: [null],
  };
  for (const [key, values] of Object.entries(only)) {
    if (raw[key] !== undefined && !values.includes(raw[key])) throw new UserError(`${where}: ${key} = ${JSON.stringify(raw[key])} is not supported; supported: ${JSON.stringify(values[0])}`);
  }
}

/** @throws UserError when the file says it was trained on another base */
export function checkBase(file: string, metadata: Readonly<Record<string, string>>, base: BaseRecord): void {
  const { base_fingerprint: fingerprint, base_model: model } = metadata;
  if (fingerprint !== undefined && fingerprint !== base.fingerprint) {
    throw new UserError(`${file}: trained on "${model}" (weights ${fingerprint.slice(0, 12)}), not on "${base.model}" (weights ${base.fingerprint.slice(0, 12)}); use the base model it was trained on`);
  }
}
