/** PEFT's adapter folder: adapter_config.json and adapter_model.safetensors. */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import { writeFileAtomic } from '../base/atomic-file.js';
import type { HostTensor, Shape } from '../tensor/host.js';
import { readJson } from '../formats/read-json.js';
import { openSafetensors, writeSafetensors } from '../formats/safetensors/safetensors.js';
import { parameterName, SIDES, type AdapterValues, type Side } from './lora-adapter.js';
import { adaptableModules, configuredPair, isTarget, type LoraConfig, type LoraPair } from './lora-config.js';

const PREFIX = 'base_model.model.';
/** What PEFT calls the classes that we adapt. */
const MAPPING: Readonly<Record<string, object>> = {
  unet: { base_model_class: 'UNet2DConditionModel', parent_library: 'diffusers.models.unets.unet_2d_condition' },
  text_encoder: { base_model_class: 'CLIPTextModel', parent_library: 'transformers.models.clip.modeling_clip' },
};

/** What the adapter was trained on, and how; kept in the weights' metadata, which other tools ignore. */
export interface BaseRecord {
  readonly model: string;
  readonly fingerprint: string;
  /** `architectureHash` of the network */
  readonly architecture?: string;
  /** the model's options, as JSON */
  readonly config?: string;
}

/** sha256 over the names and shapes of a network's parameters. */
export function architectureHash(parameters: ReadonlyMap<string, Shape>): string {
  const lines = [...parameters].map(([name, shape]) => `${name}[${shape}]\n`).sort();
  return createHash('sha256').update(lines.join('')).digest('hex');
}

/** Metadata of an adapter's safetensors file. */
export function baseMetadata({ model, fingerprint, architecture, config }: BaseRecord): Record<string, string> {
  const optional = {
    ...(architecture === undefined ? {} : { base_architecture: architecture }),
    ...(config === undefined ? {} : { diffengine_config: config }),
  };
  return { format: 'pt', base_model: model, base_fingerprint: fingerprint, ...optional };
}

/** Writes one network's adapter. @param part `unet` or `text_encoder` @param values by parameter name */
export async function savePeft(
  folder: string,
  part: string,
  config: LoraConfig,
  pairs: ReadonlyMap<string, LoraPair>,
  values: Readonly<Record<string, HostTensor>>,
  base: BaseRecord,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors: Record<string, HostTensor> = {};
  for (const { module } of pairs.values())
    for (const side of SIDES) tensors[`${PREFIX}${module}.${side}.weight`] = values[parameterName(part, module, side)];
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors, baseMetadata(base));
  await writeFileAtomic(
    join(folder, 'adapter_config.json'),
    `${JSON.stringify(
      {
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
      },
      null,
      2,
    )}\n`,
  );
}

/** Reads a PEFT folder for a network with these parameters. @throws UserError for anything that does not fit */
export async function loadPeft(
  folder: string,
  parameters: ReadonlyMap<string, Shape>,
  base?: BaseRecord,
): Promise<AdapterValues> {
  const where = join(folder, 'adapter_config.json');
  const raw = await readJson(where, 'a PEFT adapter folder has one');
  const config = supportedConfig(where, raw);
  const file = await openSafetensors(join(folder, 'adapter_model.safetensors')),
    [path] = file.files;
  if (base) checkBase(path, file.metadata, { ...base, architecture: architectureHash(parameters) });
  const modules = adaptableModules(parameters),
    found = new Map<string, Partial<Record<Side, HostTensor>>>();
  for (const key of file.entries.keys()) {
    // Files of running PEFT models carry the adapter's name.
    const [, module, side] = /^base_model\.model\.(.*)\.(lora_[AB])(?:\.default)?\.weight$/.exec(key) ?? [];
    if (module === undefined || !modules.has(module))
      throw new UserError(`${path}: "${key}" fits no module of this model; the adapter is for another base model`);
    found.set(module, { ...found.get(module), [side]: await file.readFloat32(key) });
  }
  const complete = raw['layers_to_transform'] == null && raw['exclude_modules'] == null; // then all targets have weights
  const absent = [...modules.keys()].find((m) => complete && isTarget(config, m, where) && !found.has(m));
  if (absent !== undefined)
    throw new UserError(
      `${path}: nothing for module "${absent}", which ${where} targets; the adapter is for another base model, or the two files do not belong together`,
    );
  return new Map(
    [...found].map(([module, sides]) => {
      const pair = configuredPair(config, module, modules.get(module) as Shape, where);
      return [
        module,
        {
          lora_A: fitting(path, module, 'lora_A', sides, pair.shapeA),
          lora_B: fitting(path, module, 'lora_B', sides, pair.shapeB),
          scale: pair.scale,
        },
      ];
    }),
  );
}

function fitting(
  path: string,
  module: string,
  side: Side,
  sides: Partial<Record<Side, HostTensor>>,
  shape: Shape,
): HostTensor {
  const tensor = sides[side];
  if (!tensor) throw new UserError(`${path}: module "${module}" has no ${side}; save the adapter again`);
  if (String(tensor.shape) !== String(shape))
    throw new UserError(
      `${path}: ${side} of "${module}" has shape [${tensor.shape}], this model and adapter_config.json need [${shape}]; the adapter is for another base model`,
    );
  return tensor;
}

/** Fields that change no value of a finished adapter: how it was trained, initialised, found or placed. */
const HARMLESS = new Set([
  'auto_mapping',
  'base_model_name_or_path',
  'corda_config',
  'ensure_weight_tying',
  'eva_config',
  'exclude_modules',
  'inference_mode',
  'init_lora_weights',
  'layers_pattern',
  'layers_to_transform',
  'loftq_config',
  'lora_dropout',
  'megatron_config',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
  'task_type',
]);
const HONOURED = new Set(['alpha_pattern', 'lora_alpha', 'r', 'rank_pattern', 'target_modules', 'use_rslora']);
/** Initialisations that change the base model's weights, or not: the first kind needs that changed base. */
const CHANGES_BASE = /^(pissa|olora|loftq|corda)/;

/** Every field is honoured, harmless, or off. @throws UserError naming the first one that is not */
function supportedConfig(where: string, raw: Readonly<Record<string, unknown>>): LoraConfig {
  const refuse = (key: string, fix: string): UserError =>
    new UserError(`${where}: ${key} = ${JSON.stringify(raw[key])} is not supported; ${fix}`);
  if (raw['peft_type'] !== 'LORA') throw refuse('peft_type', 'supported: "LORA"');
  if (raw['bias'] !== undefined && raw['bias'] !== 'none') throw refuse('bias', 'supported: "none"');
  if (CHANGES_BASE.test(String(raw['init_lora_weights'])))
    throw refuse('init_lora_weights', 'convert the adapter with PEFT (path_initial_model_for_weight_conversion)');
  for (const [key, value] of Object.entries(raw)) {
    const off = value === null || value === false || (typeof value === 'object' && Object.keys(value).length === 0);
    if (!off && !HARMLESS.has(key) && !HONOURED.has(key) && key !== 'peft_type' && key !== 'bias')
      throw refuse(key, 'it may change the results, so it is not ignored');
  }
  const missing = ['r', 'lora_alpha', 'target_modules'].find((key) => raw[key] == null);
  if (missing !== undefined)
    throw new UserError(`${where}: "${missing}" is missing; take the adapter_config.json that belongs to the adapter`);
  return raw as unknown as LoraConfig;
}

/** @throws UserError when the file says it was trained on another base */
export function checkBase(file: string, metadata: Readonly<Record<string, string>>, base: BaseRecord): void {
  const { base_fingerprint: fingerprint, base_model: model, base_architecture: architecture } = metadata;
  if (architecture !== undefined && base.architecture !== undefined && architecture !== base.architecture) {
    throw new UserError(
      `${file}: trained on "${model}", whose network has other parameters than that of "${base.model}"; use the base model it was trained on`,
    );
  }
  if (fingerprint !== undefined && fingerprint !== base.fingerprint) {
    throw new UserError(
      `${file}: trained on "${model}" (weights ${fingerprint.slice(0, 12)}), not on "${base.model}" (weights ${base.fingerprint.slice(0, 12)}); use the base model it was trained on`,
    );
  }
}
