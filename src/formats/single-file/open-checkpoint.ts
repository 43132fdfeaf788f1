/**
 * Single-file checkpoints of Stable Diffusion 1.x and 2.x, as CivitAI, A1111 and ComfyUI use them. A checkpoint opens as
 * a pipeline folder in the cache: configs, tokenizer, and pointers in the place of weights, which are read where they are.
 */
import { configJson } from '../config-json.js';
import { createHash } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { extname, join, resolve } from 'node:path';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { writeFolderAtomic } from '../../base/atomic-folder.js';
import { defaultCacheDir } from '../../base/cache-dir.js';
import { FileError } from '../../base/errors.js';
import type { Logger } from '../../base/logger.js';
import { readJson } from '../read-json.js';
import { openSafetensors } from '../safetensors/safetensors.js';
import { partFolders } from '../pipeline/part-folders.js';
import { copyTokenizer } from '../tokenizers/small-tokenizer.js';
import { convertedBin } from '../torch-bin/torch-bin-cache.js';
import type { WeightFile } from '../weight-file.js';
import { checkpointEntries, partView, POINTERS } from './checkpoint-part.js';
import { CLIP_TOKENS, writeClipTokenizer } from './clip-vocabulary.js';
import { inferConfigs } from './ldm-configs.js';
import { readLdmYaml, withLdmYaml, type LdmYaml } from './ldm-yaml.js';
import { PREFIXES, type Part } from './ldm-names.js';
import { RECORD, type CheckpointRecord } from './record.js';
import { predictsV } from './prediction.js';

export interface OpenCheckpointOptions {
  /** a pipeline folder whose configs, scheduler and tokenizer are the checkpoint's; its weights are not read */
  readonly config?: string;
  readonly cacheDir?: string;
  readonly log?: Logger;
}

/** Part of the key: raise it when what is written changes. */
const VERSION = 1;
export const CHECKPOINTS: readonly string[] = ['.safetensors', '.ckpt', '.pt', '.pth', '.bin'];
const PARTS = Object.keys(POINTERS) as Part[];
/** A buffer of token positions that older text encoders carry. */
const POSITION_IDS = /\.position_ids$/;

/** Other models that come in one file: a name that only they have, and what to say. */
const OTHERS: readonly (readonly [RegExp, string])[] = [
  [/^conditioner\.embedders\./, 'a checkpoint of Stable Diffusion XL'],
  [/joint_blocks\.|double_blocks\./, 'a checkpoint of a transformer (Stable Diffusion 3, Flux)'],
  [/^control_model\./, 'a ControlNet'],
  [/^lora_|\.lora_(?:A|B|down|up)\.|\.hada_w|\.lokr_w/, 'an adapter, which "demo_lora" and "merge-lora" take'],
  [
    /^(?:down_blocks|up_blocks|text_model|embeddings)\./,
    'the weights of one component; give the folder of the pipeline',
  ],
];

/** @returns the folder in the cache that stands for the checkpoint @throws UserError saying what the file is instead */
export async function openCheckpoint(path: string, options: OpenCheckpointOptions = {}): Promise<string> {
  const { cacheDir = defaultCacheDir(), log } = options,
    given = resolve(path);
  if (!CHECKPOINTS.includes(extname(given)))
    throw new FileError(
      `${path}: a file that is no checkpoint (${CHECKPOINTS.join(', ')}); give the folder of the model, a checkpoint, or an id of the hub`,
    );
  const file =
    extname(given) === '.safetensors' ? given : await convertedBin([given], { cacheDir, checkpoint: true, log });
  const weights = await openSafetensors(file),
    entries = checkpointEntries(weights);
  if (!entries.has(`${PREFIXES.unet}input_blocks.0.0.weight`)) refuseOther(path, [...entries.keys()]);

  const beside = given.slice(0, -extname(given).length),
    config = options.config ?? ((await isFile(join(beside, 'model_index.json'))) ? beside : undefined);
  const yaml = await readLdmYaml(`${beside}.yaml`);
  const folder = join(cacheDir, 'checkpoints', await keyOf(file, config, yaml));
  if (!(await isFile(join(folder, 'model_index.json')))) {
    await writeFolderAtomic(folder, (aside) => writeSkeleton(aside, given, file, weights, config, yaml, log)).catch(
      async (error: unknown) => {
        if (!(await isFile(join(folder, 'model_index.json')))) throw error; // else another process was faster
      },
    );
  }
  await sayWhatIsLeft(given, weights, folder, log);
  return folder;
}

function refuseOther(path: string, names: readonly string[]): never {
  const other = OTHERS.find(([pattern]) => names.some((name) => pattern.test(name)));
  throw new FileError(
    other
      ? `${path}: ${other[1]}; as a single file, checkpoints of Stable Diffusion 1.x and 2.x are read`
      : `${path}: no checkpoint of Stable Diffusion 1.x or 2.x: it has no "${PREFIXES.unet}input_blocks.0.0.weight" but ${names.slice(0, 3).join(', ')}, ... (${names.length}); give one, or the folder of a pipeline`,
  );
}

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;

async function keyOf(file: string, config: string | undefined, yaml: LdmYaml | undefined): Promise<string> {
  const hash = createHash('sha256').update(`${VERSION}\n${JSON.stringify(yaml ?? null)}\n`);
  const parts = config === undefined ? undefined : await partFolders(config);
  for (const path of [file, ...(parts ? PARTS.map((part) => join(parts.of(part), 'config.json')) : [])]) {
    const real = await realpath(path).catch(() => path),
      about = await stat(real).catch(() => undefined);
    hash.update(`${real}\n${about?.size}\n${about?.mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 24);
}

async function writeSkeleton(
  folder: string,
  given: string,
  file: string,
  weights: WeightFile,
  config: string | undefined,
  yaml: LdmYaml | undefined,
  log: Logger | undefined,
): Promise<void> {
  const json = (name: string, value: object): Promise<void> => writeFileAtomic(join(folder, name), configJson(value));
  const record =
    config === undefined
      ? (recordOf(given, weights) ?? (await inferred(given, weights, yaml, log)))
      : await recordOfFolder(config);
  for (const part of PARTS) {
    await json(join(part, 'config.json'), record[part]);
    await json(join(part, POINTERS[part]), { checkpoint: file });
  }
  await json(join('scheduler', 'scheduler_config.json'), record.scheduler);
  if (config !== undefined) await copyTokenizer(join(config, 'tokenizer'), join(folder, 'tokenizer'));
  else if (record.tokenizer === 'clip' || record.tokenizer === 'clip!')
    await writeClipTokenizer(join(folder, 'tokenizer'), record.tokenizer);
  else
    for (const [name, text] of Object.entries(record.tokenizer))
      await writeFileAtomic(join(folder, 'tokenizer', name), text);
  const schedulerClass = record.scheduler._class_name;
  await json('model_index.json', {
    _class_name: 'StableDiffusionPipeline',
    scheduler: ['diffusers', typeof schedulerClass === 'string' ? schedulerClass : 'PNDMScheduler'],
    text_encoder: ['transformers', 'CLIPTextModel'],
    tokenizer: ['transformers', 'CLIPTokenizer'],
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: ['diffusers', 'AutoencoderKL'],
    feature_extractor: [null, null],
    safety_checker: [null, null],
    requires_safety_checker: false,
  });
}

/** What diffengine wrote into a checkpoint of its own. */
function recordOf(given: string, { metadata }: WeightFile): CheckpointRecord | undefined {
  if (metadata[RECORD] === undefined) return undefined;
  try {
    return JSON.parse(metadata[RECORD]) as CheckpointRecord;
  } catch (error) {
    throw new FileError(
      `${given}: its metadata "${RECORD}" is not JSON (${(error as Error).message}); write it again`,
      {
        cause: error,
      },
    );
  }
}

async function recordOfFolder(config: string): Promise<CheckpointRecord> {
  const parts = await partFolders(config);
  const read = (part: string, file: string): ReturnType<typeof readJson> =>
    readJson(join(parts.of(part), file), 'the folder that a checkpoint takes its configs from has one');
  return {
    unet: await read('unet', 'config.json'),
    vae: await read('vae', 'config.json'),
    text_encoder: await read('text_encoder', 'config.json'),
    scheduler: await read('scheduler', 'scheduler_config.json'),
    tokenizer: {},
  };
}

async function inferred(
  given: string,
  weights: WeightFile,
  yaml: LdmYaml | undefined,
  log: Logger | undefined,
): Promise<CheckpointRecord> {
  const entries = checkpointEntries(weights),
    shapes = new Map([...entries].map(([name, { shape }]) => [name, shape]));
  const prediction = await predictsV(weights, entries, yaml);
  const found = inferConfigs(shapes, given, prediction.v);
  const { unet, vae, text_encoder, scheduler } = withLdmYaml(found, yaml);
  log?.info(
    `${given}: Stable Diffusion ${found.openClip ? '2.x' : '1.x'}, predicts ${prediction.v ? 'v' : 'noise'} (${prediction.why})`,
  );
  if (found.guesses.length > 0)
    log?.warn(
      `${given}: guessed, because neither its shapes nor Stable Diffusion's configs say so: ${found.guesses.join('; ')}. "diffengine convert" with --config takes a pipeline folder that says it`,
    );
  if (text_encoder.vocab_size !== CLIP_TOKENS)
    throw new FileError(
      `${given}: its text encoder knows ${String(text_encoder.vocab_size)} tokens, CLIP's vocabulary has ${CLIP_TOKENS}; "diffengine convert" with --config takes a pipeline folder with the tokenizer that belongs to it`,
    );
  return { unet, vae, text_encoder, scheduler, tokenizer: found.openClip ? 'clip!' : 'clip' };
}

/** Tensors that no network takes, by the first parts of their names. */
async function sayWhatIsLeft(given: string, weights: WeightFile, folder: string, log?: Logger): Promise<void> {
  const used = new Set<number>(),
    entries = checkpointEntries(weights);
  for (const part of PARTS) {
    const where = join(folder, part, 'config.json');
    for (const { offset } of partView(weights, part, await readJson(where, ''), where).entries.values())
      used.add(offset);
  }
  const groups = new Map<string, number>();
  for (const [name, { offset }] of entries) {
    if (used.has(offset) || POSITION_IDS.test(name)) continue;
    const group = name.replace(/^(model_ema\.|.*\.resblocks\.\d+\.).*/, '$1*');
    groups.set(group, (groups.get(group) ?? 0) + 1);
  }
  const list = [...groups].map(([name, n]) => (name.endsWith('*') ? `${name} (${n})` : name));
  if (list.length > 0)
    log?.warn(
      `${given}: not used: ${list.slice(0, 8).join(', ')}${list.length > 8 ? `, ... (${list.length} in all)` : ''}`,
    );
}
