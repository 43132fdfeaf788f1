/** PEFT's adapter folder: adapter_config.json and adapter_model.safetensors (peft 0.21, save_and_load.py). */
import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import { writeFileAtomic } from '../base/atomic-file.js';
import { readJson } from '../formats/read-json.js';
import { openSafetensors, writeSafetensors } from '../formats/safetensors/safetensors.js';
import type { WeightFile } from '../formats/weight-file.js';
import { validateComponent } from '../registry/validate.js';
import type { HostTensor, Shape } from '../tensor/host.js';
import { adapterKinds, ADAPTERS, type AdapterKind, type PeftOptions } from './adapter-kind.js';
import { architectureHash, baseMetadata, checkBase, type BaseRecord } from './base-record.js';
import type { AdapterValues } from './network-adapter.js';
import { adaptableModules, defaultTargets, isTarget, type Targets } from './targets.js';
import { innerName, outerName, type TargetLibraries } from './text-encoder-names.js';
import './loha.js';
import './lokr.js';
import './lora.js';
import './oft.js';

const PREFIX = 'base_model.model.';
/** What PEFT calls the classes that we adapt. */
const MAPPING: Readonly<Record<string, object>> = {
  unet: { base_model_class: 'UNet2DConditionModel', parent_library: 'diffusers.models.unets.unet_2d_condition' },
  text_encoder: { base_model_class: 'CLIPTextModel', parent_library: 'transformers.models.clip.modeling_clip' },
};

/** What adapter_config.json says of an adapter: its kind in PEFT's words, and its options. */
export interface PeftDescription {
  readonly peftType: string;
  readonly options: PeftOptions;
  readonly targets: Targets;
}

/** Writes one network's adapter. @param part `unet` or `text_encoder` */
export async function savePeft(
  folder: string,
  part: string,
  { peftType, options, targets }: PeftDescription,
  values: AdapterValues,
  base: BaseRecord,
  libraries: TargetLibraries = 'current',
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors: Record<string, HostTensor> = {};
  for (const [module, own] of values)
    for (const name of own.adapter.parts.keys())
      tensors[`${PREFIX}${outerName(part, module, libraries)}.${name}`] = own.values[name];
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors, baseMetadata(base));
  const outer = (name: string): string => outerName(part, name, libraries);
  const config: Record<string, unknown> = {
    auto_mapping: MAPPING[part] ?? null,
    base_model_name_or_path: base.model,
    inference_mode: true,
    layers_pattern: null,
    layers_to_transform: null,
    modules_to_save: null,
    revision: null,
    task_type: null,
    ...options,
    ...renamedPatterns(options, outer),
    peft_type: peftType,
    // An expression for whole names fits ours; the text encoder's may be shorter in the file, so they are listed there.
    target_modules:
      typeof targets === 'string' && part === 'text_encoder'
        ? [...values.keys()].map(outer)
        : typeof targets === 'string'
          ? targets
          : targets.map(outer),
  };
  const sorted = Object.fromEntries(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)));
  await writeFileAtomic(join(folder, 'adapter_config.json'), `${JSON.stringify(sorted, null, 2)}\n`);
}

/** Patterns that stand for whole names, with the names of the file. */
const renamedPatterns = (options: PeftOptions, outer: (name: string) => string): Record<string, unknown> =>
  Object.fromEntries(
    ['rank_pattern', 'alpha_pattern'].flatMap((key) =>
      key in options
        ? [[key, Object.fromEntries(Object.entries(options[key] as object).map(([name, v]) => [outer(name), v]))]]
        : [],
    ),
  );

/** PEFT's word for every linear layer. */
const ALL_LINEAR = 'all-linear';

/**
 * Reads a PEFT folder for a network with these parameters.
 * @param part `unet` or `text_encoder` @throws UserError for anything that does not fit
 */
export async function loadPeft(
  folder: string,
  part: string,
  parameters: ReadonlyMap<string, Shape>,
  base?: BaseRecord,
): Promise<AdapterValues> {
  const { where, raw, kind } = await readPeftKind(folder);
  const targets = kind.targets ?? defaultTargets(part);
  const file = await openWeightFile(folder);
  const [path] = file.files;
  if (base) checkBase(path, file.metadata, { ...base, architecture: architectureHash(parameters) });
  const modules = adaptableModules(parameters);
  const found = new Map<string, Record<string, HostTensor>>();
  for (const key of file.entries.keys()) {
    const at = peftPlace(key, part, modules);
    if (!at)
      throw new UserError(`${path}: "${key}" fits no module of this model; the adapter is for another base model`, {
        code: 'MODEL_MISMATCH',
      });
    found.set(at.module, { ...found.get(at.module), [at.name]: await file.readFloat32(key) });
  }
  const complete = raw['layers_to_transform'] == null && raw['exclude_modules'] == null; // then all targets have weights
  const isNamed = (module: string): boolean =>
    [module, outerName(part, module, 'current')].some((name) => isTarget(targets, name, where));
  const stray = [...found.keys()].find((module) => targets !== ALL_LINEAR && !isNamed(module));
  if (stray !== undefined)
    throw new UserError(
      `${path}: holds weights of "${stray}", which target_modules of ${where} does not name; the two files do not belong together`,
      { code: 'FILE_INVALID' },
    );
  const absent = [...modules.keys()].find((module) => complete && isNamed(module) && !found.has(module));
  if (absent !== undefined)
    throw new UserError(
      `${path}: nothing for module "${absent}", which ${where} targets; the adapter is for another base model, or the two files do not belong together`,
      { code: 'MODEL_MISMATCH' },
    );
  return new Map(
    [...found].map(([module, values]) => {
      const adapter = kind.module(module, modules.get(module) as Shape, where);
      checkParts(path, module, adapter.parts, values);
      return [module, { adapter, values }];
    }),
  );
}

/** The kind of a PEFT folder, with its options. @param more options of ours that the file cannot hold @throws UserError for a kind or a field that is not supported */
export async function readPeftKind(
  folder: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<{ readonly where: string; readonly raw: Readonly<Record<string, unknown>>; readonly kind: AdapterKind }> {
  const where = join(folder, 'adapter_config.json');
  const raw = await readJson(where, 'a PEFT adapter folder has one');
  return { where, raw, kind: kindOf(where, raw, more) };
}

/** The module and the part of it that a key names: the longest module whose name the key starts with. */
export function peftPlace(
  key: string,
  part: string,
  modules: ReadonlyMap<string, Shape>,
): { readonly module: string; readonly name: string } | undefined {
  if (!key.startsWith(PREFIX)) return undefined;
  const levels = key.slice(PREFIX.length).split('.');
  for (let end = levels.length - 1; end > 0; end--) {
    const module = innerName(part, levels.slice(0, end).join('.'));
    // Files of running PEFT models carry the adapter's name.
    const name = levels
      .slice(end)
      .filter((level) => level !== 'default')
      .join('.');
    if (modules.has(module)) return { module, name: STORED_NAMES[name] ?? name };
  }
  return undefined;
}

/** Parts that PEFT has written under another name. */
const STORED_NAMES: Readonly<Record<string, string>> = { 'lora_magnitude_vector.weight': 'lora_magnitude_vector' };

/** @throws UserError when parts are missing, unknown or of another shape */
export function checkParts(
  path: string,
  module: string,
  parts: ReadonlyMap<string, Shape>,
  values: Readonly<Record<string, HostTensor>>,
): void {
  const unknown = Object.keys(values).find((name) => !parts.has(name));
  if (unknown !== undefined)
    throw new UserError(
      `${path}: "${module}" has ${unknown}, which an adapter with these settings does not have (${[...parts.keys()].join(', ')}); take the adapter_config.json that belongs to it`,
    );
  for (const [name, shape] of parts) {
    if (!values[name]) throw new UserError(`${path}: module "${module}" has no ${name}; save the adapter again`);
    if (String(values[name].shape) !== String(shape))
      throw new UserError(
        `${path}: ${name} of "${module}" has shape [${values[name].shape}], this model and adapter_config.json need [${shape}]; the adapter is for another base model`,
        { code: 'MODEL_MISMATCH' },
      );
  }
}

async function openWeightFile(folder: string): Promise<WeightFile> {
  const path = join(folder, 'adapter_model.safetensors');
  const bin = join(folder, 'adapter_model.bin');
  const exists = (file: string): Promise<boolean> =>
    access(file).then(
      () => true,
      () => false,
    );
  if (!(await exists(path)) && (await exists(bin)))
    throw new UserError(`${bin}: a pickle of PyTorch; run "diffengine convert ${folder} --out <folder>" first`);
  return openSafetensors(path);
}

/** Fields that change no value of a finished adapter: how it was trained, initialised, found or placed. */
const HARMLESS = new Set([
  'arrow_config',
  'auto_mapping',
  'base_model_name_or_path',
  'bias',
  'corda_config',
  'ensure_weight_tying',
  'eps',
  'eva_config',
  'exclude_modules',
  'inference_mode',
  'init_lora_weights',
  'init_weights',
  'layers_pattern',
  'layers_to_transform',
  'loftq_config',
  'lora_dropout',
  'megatron_config',
  'megatron_core',
  'module_dropout',
  'peft_type',
  'peft_version',
  'qalora_group_size',
  'rank_dropout',
  'rank_dropout_scale',
  'revision',
  'runtime_config',
  'task_type',
]);
/** Initialisations that change the base model's weights: the adapter needs that changed base. */
const CHANGES_BASE = /^(pissa|olora|loftq|corda|lora_ga)/;

/** The kind with the options of the file. Every field is honoured, harmless, or off. @throws UserError naming the first that is not */
function kindOf(
  where: string,
  raw: Readonly<Record<string, unknown>>,
  more: Readonly<Record<string, unknown>>,
): AdapterKind {
  const refuse = (key: string, fix: string): UserError =>
    new UserError(`${where}: ${key} = ${JSON.stringify(raw[key])} is not supported; ${fix}`);
  // PEFT's names are ours in capitals; the user's own kinds count, too.
  const kinds = adapterKinds();
  const found = kinds.find(({ name }) => name.toUpperCase() === raw['peft_type']);
  if (!found)
    throw refuse('peft_type', `supported: ${kinds.map(({ name }) => JSON.stringify(name.toUpperCase())).join(', ')}`);
  const { name: type, Kind } = found;
  Kind.checkPeft?.(raw, where);
  if (raw['bias'] !== undefined && raw['bias'] !== 'none') throw refuse('bias', 'supported: "none"');
  if (CHANGES_BASE.test(String(raw['init_lora_weights'])))
    throw refuse('init_lora_weights', 'convert the adapter with PEFT (path_initial_model_for_weight_conversion)');
  const known = Object.keys((ADAPTERS.get(type)?.options as { properties?: object }).properties ?? {}).filter(
    (key) => !HARMLESS.has(key),
  );
  for (const [key, value] of Object.entries(raw)) {
    const off = value === null || value === false || (typeof value === 'object' && Object.keys(value).length === 0);
    if (!off && !HARMLESS.has(key) && !known.includes(key))
      throw refuse(key, 'it may change the results, so it is not ignored');
  }
  // What a file leaves out had PEFT's default when it was written; for these we do not guess it.
  const missing = ['r', 'lora_alpha', 'alpha', 'target_modules'].find((key) => known.includes(key) && raw[key] == null);
  if (missing !== undefined)
    throw new UserError(`${where}: "${missing}" is missing; take the adapter_config.json that belongs to the adapter`);
  const given = Object.fromEntries(known.filter((key) => raw[key] != null).map((key) => [key, raw[key]]));
  return new Kind(validateComponent(ADAPTERS, { ...given, ...more, type }, where));
}
