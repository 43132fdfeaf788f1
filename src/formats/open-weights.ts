/** Finds the weights of a component folder as the hub publishes them. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { isPointer, openCheckpointPart } from './single-file/checkpoint-part.js';
import { openSafetensors, SafetensorsFile } from './safetensors/safetensors.js';
import { convertedBin } from './torch-bin/torch-bin-cache.js';
import { openTorchBins } from './torch-bin/torch-bin.js';
import type { TensorEntry, WeightFile } from './weight-file.js';
import { withTextLevel } from './weight-view.js';

/** What weights are called before `.safetensors` and `.bin`: diffusers' and transformers' models, PEFT's and diffusers' adapters. */
export const STEMS: readonly string[] = ['diffusion_pytorch_model', 'model', 'adapter_model', 'pytorch_lora_weights'];

export interface OpenWeightsOptions {
  /** e.g. `fp16` reads `<stem>.fp16.safetensors` */
  readonly variant?: string;
  /** where converted `.bin` files go; by default `defaultCacheDir()` */
  readonly cacheDir?: string;
  readonly log?: Logger;
}

/** Weights of a component on disk, before anything is read. */
export interface FoundWeights {
  readonly format: 'safetensors' | 'bin';
  /** one file name, or the name of an index of shards */
  readonly name: string;
  readonly variant: string | undefined;
}

/**
 * Opens `<stem>.safetensors`, its shards, or `<stem>.bin` / `pytorch_model.bin` / their shards, converted once into the
 * cache. With no plain file but exactly one variant (`<stem>.fp16.safetensors`), that is taken.
 * @param stem `diffusion_pytorch_model` or `model`
 * @throws UserError listing what was looked for and what is there
 */
export async function openWeights(
  folder: string,
  stem: string,
  { variant, cacheDir, log }: OpenWeightsOptions = {},
): Promise<WeightFile> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${folder}: cannot be read (${error.code}); a diffusers pipeline has this folder`, {
      cause: error,
    });
  });
  const pointer = names.find((name) => name.startsWith(`${stem}.`) && isPointer(name));
  if (pointer !== undefined) return openCheckpointPart(folder, pointer);
  const found = findWeights(names, stem, variant);
  if (!found) {
    refuseSeveral(folder, names, stem);
    const looked = candidates(stem, variant)
      .map((c) => c.name)
      .join(', ');
    throw new UserError(`${folder}: no weights; looked for ${looked}; found ${names.sort().join(', ') || 'nothing'}`);
  }
  if (variant === undefined && found.variant !== undefined)
    log?.info(`${folder}: reading the only weights there, ${found.name}`);
  return withTextLevel(await openFound(folder, found, cacheDir, log));
}

async function openFound(
  folder: string,
  { format, name }: FoundWeights,
  cacheDir: string | undefined,
  log: Logger | undefined,
): Promise<WeightFile> {
  if (format === 'safetensors') return isIndex(name) ? openShards(folder, name) : openSafetensors(join(folder, name));
  return openSafetensors(await convertedBin(await binFiles(folder, name), { cacheDir, log }));
}

/** The weights to read among the files of a folder. */
export function findWeights(names: readonly string[], stem: string, variant?: string): FoundWeights | undefined {
  const direct = candidates(stem, variant).find((c) => names.includes(c.name));
  if (direct || variant !== undefined) return direct;
  const variants = variantsIn(names, stem);
  return variants.length === 1 ? findWeights(names, stem, variants[0]) : undefined;
}

/** The variants of a component's weights among the files of its folder, by name. */
export const variantsIn = (names: readonly string[], stem: string): string[] =>
  [...new Set(names.flatMap((name) => variantOf(name, stem) ?? []))].sort();

/** @throws UserError when there is no plain file but more than one variant */
export function refuseSeveral(folder: string, names: readonly string[], stem: string): void {
  const variants = variantsIn(names, stem);
  if (variants.length < 2) return;
  throw new UserError(
    `${folder}: no plain weights, but several variants: ${variants.join(', ')}; keep one of them, or "diffengine convert" with --variant ${variants[0]} and --out makes a folder of one`,
  );
}

/** Files that may hold a component's weights, best first. transformers called its `.bin` files `pytorch_model`. */
function candidates(stem: string, variant: string | undefined): FoundWeights[] {
  const dot = variant === undefined ? '' : `.${variant}`;
  const files = (format: FoundWeights['format'], name: string): FoundWeights[] => [
    { format, name: `${name}${dot}.${format}`, variant },
    { format, name: `${name}.${format}.index${dot}.json`, variant },
  ];
  return [
    ...files('safetensors', stem),
    ...files('bin', stem),
    ...(stem === 'model' ? files('bin', 'pytorch_model') : []),
  ];
}

function variantOf(name: string, stem: string): string | undefined {
  for (const prefix of stem === 'model' ? ['model.', 'pytorch_model.'] : [`${stem}.`]) {
    const rest = name.startsWith(prefix)
      ? /^(?:(\w+)\.(?:safetensors|bin)|(?:safetensors|bin)\.index\.(\w+)\.json)$/.exec(name.slice(prefix.length))
      : null;
    if (rest) return rest[1] ?? rest[2];
  }
  return undefined;
}

const isIndex = (name: string): boolean => name.endsWith('.json');

/** The paths of a `.bin` file or of all shards of an index, checked against it. */
export async function binFiles(folder: string, name: string): Promise<string[]> {
  if (!isIndex(name)) return [join(folder, name)];
  const index = await readIndex(folder, name);
  const paths = [...new Set(index.values())].map((file) => join(folder, file));
  for (const path of paths) {
    const bin = await openTorchBins([path]);
    checkShard(join(folder, name), index, basename(path), new Set(bin.specs.map((s) => s.name)));
  }
  return paths;
}

/** Several files and an index that says which tensor is in which. */
async function openShards(folder: string, name: string): Promise<WeightFile> {
  const index = await readIndex(folder, name);
  const entries = new Map<string, TensorEntry>(),
    files: string[] = [];
  for (const file of new Set(index.values())) {
    const shard = await openSafetensors(join(folder, file));
    checkShard(join(folder, name), index, file, shard.entries);
    files.push(...shard.files);
    for (const [tensor, entry] of shard.entries) entries.set(tensor, entry);
  }
  return new SafetensorsFile(files, entries, {});
}

function checkShard(
  path: string,
  index: ReadonlyMap<string, string>,
  file: string,
  held: { has(name: string): boolean; keys(): Iterable<string> },
): void {
  for (const [tensor, where] of index) {
    if (where === file && !held.has(tensor))
      throw new UserError(`${path}: says "${tensor}" is in ${file}, where it is not; download the folder again`);
  }
  for (const tensor of held.keys()) {
    if (index.get(tensor) !== file)
      throw new UserError(`${path}: ${file} has "${tensor}", which it does not list there; download the folder again`);
  }
}

/** Tensor name → file name. */
async function readIndex(folder: string, name: string): Promise<Map<string, string>> {
  const path = join(folder, name);
  const map = parseIndex(path, await readFile(path, 'utf8'));
  for (const [tensor, file] of map) {
    if (typeof file !== 'string' || basename(file) !== file)
      throw new UserError(
        `${path}: says "${tensor}" is in ${JSON.stringify(file)}, which is not a file name; download the folder again`,
      );
  }
  return map;
}

function parseIndex(path: string, text: string): Map<string, string> {
  try {
    const { weight_map: map } = JSON.parse(text) as { weight_map?: Record<string, string> };
    if (map && typeof map === 'object') return new Map(Object.entries(map));
  } catch (error) {
    throw new UserError(`${path}: not JSON (${(error as Error).message}); download it again`, { cause: error });
  }
  throw new UserError(`${path}: has no weight_map; download it again`);
}
