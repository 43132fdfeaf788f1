/** PyTorch weights of a pipeline or component folder as safetensors, in place or into a new folder. */
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { writeFolderAtomic } from '../base/atomic-folder.js';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { FloatType } from './float-formats.js';
import { listPresent } from './pipeline/model-index.js';
import { partFolders, type PartFolders } from './pipeline/part-folders.js';
import {
  binFiles,
  findWeights,
  openWeights,
  refuseSeveral,
  STEMS,
  variantsIn,
  type FoundWeights,
} from './open-weights.js';
import { isPointer } from './single-file/checkpoint-part.js';
import { openTorchBins } from './torch-bin/torch-bin.js';
import { namingNonFinite } from './safetensors/name-non-finite.js';
import { writeAs, type TensorSource } from './safetensors/write-as.js';

export interface ConvertOptions {
  /** a new folder, which gets everything but other weights; by default the files are written beside the old ones */
  readonly out?: string;
  /** of floating-point tensors; by default as stored */
  readonly dtype?: FloatType;
  /** e.g. `fp16`: of each component that has it, the weights `<stem>.fp16.*`, written under the plain name */
  readonly variant?: string;
  readonly log?: Logger;
}

/** Weights of any kind, their indices, and checkpoints of other tools. */
const WEIGHTS =
  /\.(?:bin|safetensors|ckpt|pt|pth|msgpack|h5|onnx|onnx_data|pb)$|\.index(?:\.[\w-]+)?\.json$|\.checkpoint\.json$/;

interface Component {
  readonly folder: string;
  /** where it lies */
  readonly at: string;
  readonly stem: string;
  readonly found: FoundWeights;
}

/**
 * Converts each component's weights. With `out`, all or nothing.
 * @returns the safetensors files written
 * @throws UserError when there are no weights, a file is refused, or `out` is not empty
 */
export async function convertFolder(
  folder: string,
  { out, dtype, variant, log }: ConvertOptions = {},
): Promise<string[]> {
  const parts = await partFolders(folder),
    components = await findComponents(folder, parts, variant);
  const bins = components.filter(({ found }) => found.format === 'bin');
  if (components.length === 0)
    throw new UserError(
      `${folder}: no weights here or one folder down; give the folder of a diffusers pipeline or of one component`,
    );
  if (out !== undefined && resolve(out) !== resolve(folder))
    return intoNewFolder(parts, resolve(out), components, { dtype, plain: variant !== undefined, log });
  if (bins.length === 0 && dtype)
    throw new UserError(
      `${folder}: its weights are safetensors already; --out writes them as ${dtype} into a new folder`,
    );
  return convertAll(folder, bins, { dtype, plain: false, log });
}

/** @throws UserError when no component has the variant */
async function findComponents(folder: string, parts: PartFolders, variant: string | undefined): Promise<Component[]> {
  const components: Component[] = [],
    variants = new Set<string>(),
    without: (() => void)[] = [];
  for (const inner of ['', ...parts.names]) {
    const at = parts.of(inner),
      names = await readdir(at);
    for (const stem of STEMS) {
      for (const name of variantsIn(names, stem)) variants.add(name);
      const pointer = names.find((name) => name.startsWith(`${stem}.`) && isPointer(name));
      const found: FoundWeights | undefined = pointer
        ? { format: 'safetensors', name: pointer, variant: undefined }
        : ((variant === undefined ? undefined : findWeights(names, stem, variant)) ?? findWeights(names, stem));
      if (found) components.push({ folder: inner, at, stem, found });
      else without.push(() => refuseSeveral(at, names, stem));
    }
  }
  if (variant !== undefined && !variants.has(variant))
    throw new UserError(
      `${folder}: no variant "${variant}"; it has ${[...variants].sort().join(', ') || 'none, only plain files'}`,
    );
  for (const refuse of without) refuse();
  return components;
}

interface Writing {
  readonly dtype: FloatType | undefined;
  /** a chosen variant gets the plain name, so that it is what the new folder opens with */
  readonly plain: boolean;
  readonly log: Logger | undefined;
}

async function convertAll(
  to: string,
  components: readonly Component[],
  { dtype, plain, log }: Writing,
): Promise<string[]> {
  const written: string[] = [];
  for (const { folder, at, stem, found } of components) {
    const name = join(folder, `${stem}${plain || found.variant === undefined ? '' : `.${found.variant}`}.safetensors`);
    const source = await openSource(at, stem, found);
    const progress = log && { log, of: folder === '' ? found.name : folder };
    await writeAs(join(to, name), namingNonFinite(source, join(at, found.name), log), { dtype, progress });
    log?.info(`${join(folder, found.name)} -> ${name}`);
    written.push(join(to, name));
  }
  return written;
}

async function openSource(folder: string, stem: string, found: FoundWeights): Promise<TensorSource> {
  if (found.format === 'bin') return openTorchBins(await binFiles(folder, found.name));
  const weights = await openWeights(folder, stem, { variant: found.variant });
  return { specs: [...weights.entries.values()], read: (name) => weights.read(name) };
}

/** Written aside and renamed, so that `out` is complete or not there. */
async function intoNewFolder(
  parts: PartFolders,
  out: string,
  components: readonly Component[],
  writing: Writing,
): Promise<string[]> {
  let written: string[] = [];
  await writeFolderAtomic(out, async (aside) => {
    for (const inner of ['', ...parts.names]) await copyOthers(parts.of(inner), join(aside, inner));
    await listPresent(join(aside, 'model_index.json'), parts.names);
    written = (await convertAll(aside, components, writing)).map((path) => out + path.slice(aside.length));
  });
  return written;
}

/** Configs, tokenizer files and the like. */
async function copyOthers(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (!entry.isDirectory() && !WEIGHTS.test(entry.name)) await copyFile(join(from, entry.name), join(to, entry.name));
  }
}
