/** PEFT's adapter folder: adapter_config.json and adapter_model.safetensors (peft 0.21, save_and_load.py). */
import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import { writeFileAtomic } from '../base/atomic-file.js';
import { readJson } from '../formats/read-json.js';
import { openSafetensors, writeSafetensors, type WriteProgress } from '../formats/safetensors/safetensors.js';
import type { WeightFile } from '../formats/weight-file.js';
import type { HostTensor, Shape } from '../tensor/host.js';
import type { AdapterKind, PeftOptions } from './adapter-kind.js';
import { architectureHash, baseMetadata, checkBase, type BaseRecord } from './base-record.js';
import type { AdapterValues } from './network-adapter.js';
import { kindOf, peftModules, PREFIX } from './peft-modules.js';
import type { Targets } from './targets.js';
import { outerName, type TargetLibraries } from './text-encoder-names.js';

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
  progress?: WriteProgress,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors: Record<string, HostTensor> = {};
  for (const [module, own] of values)
    for (const name of own.adapter.parts.keys())
      tensors[`${PREFIX}${outerName(part, module, libraries)}.${name}`] = own.values[name];
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors, baseMetadata(base), progress);
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
  const file = await openWeightFile(folder);
  const [path] = file.files;
  if (base) checkBase(path, file.metadata, { ...base, architecture: architectureHash(parameters) });
  const files = { path, where, raw, kind, keys: file.entries.keys(), read: (key: string) => file.readFloat32(key) };
  return peftModules(files, part, parameters);
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
