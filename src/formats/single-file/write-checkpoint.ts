/** A pipeline folder as one file in the layout of CompVis, for A1111, ComfyUI and diffusers' `from_single_file`. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FileError } from '../../base/errors.js';
import type { Logger } from '../../base/logger.js';
import { sizeOf, type HostTensor, type TypedArray } from '../../tensor/host.js';
import type { FloatType } from '../float-formats.js';
import { olderVaeName } from '../frozen-source.js';
import { openWeights, variantsIn, type OpenWeightsOptions } from '../open-weights.js';
import { partFolders } from '../pipeline/part-folders.js';
import { readJson } from '../read-json.js';
import { namingNonFinite } from '../safetensors/name-non-finite.js';
import { writeAs } from '../safetensors/write-as.js';
import { TOKENIZER_FILES } from '../tokenizers/small-tokenizer.js';
import type { TensorEntry, WeightFile } from '../weight-file.js';
import { partNames, partShapes } from './checkpoint-part.js';
import { clipKind } from './clip-vocabulary.js';
import { isVaeProjection, type Part } from './ldm-names.js';
import { RECORD, type CheckpointRecord } from './record.js';

const STEMS: Readonly<Record<Part, string>> = {
  unet: 'diffusion_pytorch_model',
  vae: 'diffusion_pytorch_model',
  text_encoder: 'model',
};
const PARTS = Object.keys(STEMS) as Part[];

/** A tensor of the checkpoint, and the tensors of a component that it is made of, one after the other. */
interface Piece {
  readonly weights: WeightFile;
  readonly from: TensorEntry[];
  readonly shape: readonly number[];
}

/**
 * Writes U-Net, VAE and text encoder of a folder; configs and tokenizer go into the metadata.
 * @param dtype of the floating-point tensors; by default as stored
 * @throws UserError when a component is incomplete, or the file cannot be written
 */
export async function writeCheckpoint(
  folder: string,
  out: string,
  { dtype, log, variant }: { readonly dtype?: FloatType } & Pick<OpenWeightsOptions, 'log' | 'variant'> = {},
): Promise<void> {
  const configs: Record<string, Awaited<ReturnType<typeof readJson>>> = {},
    pieces = new Map<string, Piece>();
  const parts = await partFolders(folder);
  for (const part of PARTS) {
    const where = join(parts.of(part), 'config.json'),
      config = (configs[part] = await readJson(where, 'every component has one'));
    const names = await readdir(parts.of(part)),
      has = variant !== undefined && variantsIn(names, STEMS[part]).includes(variant);
    const weights = await openWeights(parts.of(part), STEMS[part], { log, ...(has && { variant }) });
    addPart(pieces, part, config, where, weights, log);
  }
  const record: CheckpointRecord = {
    unet: configs.unet,
    vae: configs.vae,
    text_encoder: configs.text_encoder,
    scheduler: await readJson(
      join(folder, 'scheduler', 'scheduler_config.json'),
      'a pipeline names its noise schedule there',
    ),
    tokenizer: await tokenizerRecord(join(folder, 'tokenizer')),
  };
  const v = record.scheduler.prediction_type === 'v_prediction';
  const source = {
    specs: [...pieces].map(([name, { from, shape }]) => ({ name, dtype: from[0].dtype, shape })),
    read: (name: string) => joined(pieces.get(name)!),
  };
  await writeAs(out, namingNonFinite(source, folder, log), {
    dtype,
    metadata: { 'modelspec.prediction_type': v ? 'v' : 'epsilon', [RECORD]: JSON.stringify(record) },
    progress: log && { log, of: basename(out) },
  });
}

function addPart(
  pieces: Map<string, Piece>,
  part: Part,
  config: CheckpointRecord['unet'],
  where: string,
  weights: WeightFile,
  log: Logger | undefined,
): void {
  const nameOf = partNames(part, config, where, config.hidden_act === 'gelu'),
    left = new Set(weights.entries.keys());
  for (const [name] of partShapes(part, config, where)) {
    const older = part === 'vae' ? olderVaeName(name) : undefined,
      own = weights.entries.has(name) ? name : (older ?? name);
    const entry = weights.entries.get(own);
    if (!entry)
      throw new FileError(`${weights.files[0]}: missing ${name}; the weights do not belong to this config.json`);
    left.delete(own);
    const { name: stored } = nameOf(name),
      before = pieces.get(stored);
    // q, k and v come in this order.
    if (before) before.from.push(entry);
    else pieces.set(stored, { weights, from: [entry], shape: shapeIn(part, name, entry) });
  }
  for (const [name, piece] of pieces)
    if (piece.from.length === 3) pieces.set(name, { ...piece, shape: [3 * piece.shape[0], ...piece.shape.slice(1)] });
  if (left.size > 0)
    log?.warn(`${weights.files[0]}: left out: ${[...left].slice(0, 3).join(', ')}; a checkpoint has no place for it`);
}

const shapeIn = (part: Part, name: string, { shape }: TensorEntry): readonly number[] =>
  part === 'vae' && isVaeProjection(name) && shape.length === 2 ? [...shape, 1, 1] : shape;

async function joined({ weights, from, shape }: Piece): Promise<HostTensor> {
  const parts = await Promise.all(from.map(({ name }) => weights.read(name)));
  if (parts.length === 1) return { ...parts[0], shape };
  const data = parts[0].data.constructor as new (n: number) => TypedArray,
    all = new data(sizeOf(shape)) as Float32Array;
  let at = 0;
  for (const part of parts) {
    all.set(part.data as Float32Array, at);
    at += part.data.length;
  }
  return { dtype: parts[0].dtype, shape, data: all };
}

async function tokenizerRecord(folder: string): Promise<CheckpointRecord['tokenizer']> {
  const kind = await clipKind(folder);
  if (kind) return kind;
  const files: Record<string, string> = {};
  for (const name of TOKENIZER_FILES) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
    if (text !== undefined) files[name] = text;
  }
  return files;
}
