/** What the two files of a PEFT adapter say: which kind it is, and which tensor belongs to which module (peft 0.21). */
import { UserError } from '../base/errors.js';
import { validateComponent } from '../registry/validate.js';
import type { HostTensor, Shape } from '../tensor/host.js';
import { adapterKinds, ADAPTERS, type AdapterKind } from './adapter-kind.js';
import type { AdapterValues } from './network-adapter.js';
import { adaptableModules, defaultTargets, isTarget } from './targets.js';
import { innerName, outerName } from './text-encoder-names.js';
import './loha.js';
import './lokr.js';
import './lora.js';
import './oft.js';

/** Of every key. */
export const PREFIX = 'base_model.model.';
/** PEFT's word for every linear layer. */
const ALL_LINEAR = 'all-linear';

/** One network's adapter as PEFT stores it, wherever its two files are. */
export interface PeftFiles {
  /** names of the two files, for errors */
  readonly path: string;
  readonly where: string;
  /** adapter_config.json */
  readonly raw: Readonly<Record<string, unknown>>;
  readonly kind: AdapterKind;
  readonly keys: Iterable<string>;
  /** a tensor's values, float32 */
  read(key: string): Promise<HostTensor> | HostTensor;
}

/**
 * The trained modules of a network with these parameters.
 * @param part `unet` or `text_encoder` @throws UserError for anything that does not fit
 */
export async function peftModules(
  { path, where, raw, kind, keys, read }: PeftFiles,
  part: string,
  parameters: ReadonlyMap<string, Shape>,
): Promise<AdapterValues> {
  const targets = kind.targets ?? defaultTargets(part);
  const modules = adaptableModules(parameters);
  const found = new Map<string, Record<string, HostTensor>>();
  for (const key of keys) {
    const at = peftPlace(key, part, modules);
    if (!at)
      throw new UserError(`${path}: "${key}" fits no module of this model; the adapter is for another base model`, {
        code: 'MODEL_MISMATCH',
      });
    found.set(at.module, { ...found.get(at.module), [at.name]: await read(key) });
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
function checkParts(
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
export function kindOf(
  where: string,
  raw: Readonly<Record<string, unknown>>,
  more: Readonly<Record<string, unknown>> = {},
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
