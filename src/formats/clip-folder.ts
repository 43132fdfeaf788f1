/** A CLIP folder in transformers' CLIPModel format, opened and checked, and what its two towers compute. */
import { join, resolve } from 'node:path';
import { FileError, type UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { gatherRows, reshape } from '../tensor/ops.js';
import { input, type Tensor } from '../tensor/tensor.js';
import { HARMLESS } from '../networks/clip-encoder.js';
import { readPreprocess, type PicturePreprocess } from './picture-preprocess.js';
import { clipText, parseClipTextConfig, pooledPosition, type ClipTextConfig } from '../networks/clip-text.js';
import { clipVision, parseClipVisionConfig, type ClipVisionConfig } from '../networks/clip-vision.js';
import { ConfigReader, type RawConfig } from '../networks/component-config.js';
import { FrozenSource } from './frozen-source.js';
import { linear } from '../networks/layers/linear.js';
import { Scope, type ParamSource } from '../networks/layers/scope.js';
import { readJson } from './read-json.js';
import { recorded } from '../networks/record.js';
import type { ClipTokenizer } from './tokenizers/clip-tokenizer.js';
import { loadTokenizer } from './tokenizers/load-tokenizer.js';
import { openWeights } from './open-weights.js';

export interface ClipConfig {
  readonly text: ClipTextConfig;
  readonly vision: ClipVisionConfig;
  /** width of the space that both towers end in */
  readonly projectionDim: number;
  /** natural logarithm of what similarities are multiplied by, before training */
  readonly logitScaleInit: number;
}

const READ = [
  'projection_dim',
  'logit_scale_init_value',
  'text_config',
  'vision_config',
  'text_config_dict',
  'vision_config_dict',
];

/** @throws UserError naming the field that is unknown or not supported */
export function parseClipConfig(raw: RawConfig, where: string): ClipConfig {
  const read = new ConfigReader(raw, where);
  const allowed = { architectures: [['CLIPModel'], null], model_type: ['clip'] };
  read.onlyAllow(allowed);
  read.refuseUnknown([...READ, ...Object.keys(allowed), ...HARMLESS]);
  return {
    text: parseClipTextConfig(towerConfig(raw, 'text_config', where), `${where}: text_config`),
    vision: parseClipVisionConfig(towerConfig(raw, 'vision_config', where), `${where}: vision_config`),
    projectionDim: read.count('projection_dim', 512),
    logitScaleInit: read.number('logit_scale_init_value', 2.6592),
  };
}

/** Files of before transformers 4.28 hold a tower's fields twice; then those of `..._dict` count. */
function towerConfig(raw: RawConfig, key: 'text_config' | 'vision_config', where: string): RawConfig {
  const parts = [raw[key], raw[`${key}_dict`]].filter((part) => part !== undefined && part !== null);
  if (parts.length === 0 || parts.some((part) => typeof part !== 'object' || Array.isArray(part))) {
    throw new FileError(
      `${where}: no "${key}"; a CLIP checkpoint (model_type "clip") has text_config and vision_config`,
    );
  }
  return Object.assign({}, ...parts) as RawConfig;
}

/** @param pixels [B, 3, H, W] normalised @returns [B, P], not normalised */
export const clipImageFeatures = (scope: Scope, pixels: Tensor, { vision, projectionDim }: ClipConfig): Tensor =>
  linear(scope.child('visual_projection'), clipVision(scope, pixels, vision).pooled, projectionDim, { bias: false });

/**
 * @param ids [B, T] int32
 * @param rows [B] int32, `pooledRows` of the ids
 * @returns [B, P], not normalised
 */
export function clipTextFeatures(scope: Scope, ids: Tensor, rows: Tensor, { text, projectionDim }: ClipConfig): Tensor {
  const [B, T] = ids.shape,
    { lastHiddenState } = clipText(scope, ids, text);
  const pooled = gatherRows(reshape(lastHiddenState, [B * T, text.hiddenSize]), rows);
  return linear(scope.child('text_projection'), pooled, projectionDim, { bias: false });
}

/** Of each text, the row of its end token among the rows [B * T] of all. */
export const pooledRows = (texts: readonly Int32Array[], config: ClipTextConfig): Int32Array =>
  Int32Array.from(texts, (ids, b) => b * ids.length + pooledPosition(ids, config));

export const logitScale = (scope: Scope): Tensor => scope.param('logit_scale', []);

/** Asks for every parameter of the model. */
export const recordClip = (source: ParamSource, config: ClipConfig): void => {
  const scope = new Scope(source),
    side = config.vision.imageSize;
  clipTextFeatures(scope, input('ids', [1, 1], 'int32'), input('rows', [1], 'int32'), config);
  clipImageFeatures(scope, input('pixels', [1, 3, side, side]), config);
  logitScale(scope);
};

export interface ClipFolder {
  readonly path: string;
  readonly config: ClipConfig;
  /** config.json as it is */
  readonly raw: RawConfig;
  readonly preprocess: PicturePreprocess;
  readonly tokenizer: ClipTokenizer;
  readonly source: FrozenSource;
}

/** A buffer of positions that older checkpoints carry. */
const POSITION_IDS = /\.embeddings\.position_ids$/;

/**
 * Opens configs, tokenizer and weights, and checks every tensor's name and shape against config.json.
 * @throws UserError naming the file and what is wrong with it
 */
export async function openClip(folder: string, log?: Logger): Promise<ClipFolder> {
  const path = resolve(folder),
    file = join(path, 'config.json');
  const raw = await readJson(file, 'a CLIP checkpoint has one'),
    config = parseClipConfig(raw, file);
  const source = new FrozenSource(await openWeights(path, 'model', { log }));
  source.check(
    recorded((s) => recordClip(s, config), source.fits()),
    POSITION_IDS,
    log,
  );
  const tokenizer = await loadTokenizer(path, { vocabSize: config.text.vocabSize, log });
  const differ = (what: string): UserError => new FileError(`${path}: ${what}; they are of different models`);
  if (tokenizer.maxLength > config.text.maxPositions)
    throw differ(
      `the tokenizer gives ${tokenizer.maxLength} tokens, the text tower has ${config.text.maxPositions} positions`,
    );
  const largest = tokenizer.largestMark;
  if (largest >= config.text.vocabSize)
    throw differ(`the tokenizer gives the id ${largest}, the text tower knows ${config.text.vocabSize} tokens`);
  const preprocess = await readPreprocess(path, config.vision.imageSize);
  return { path, config, raw, preprocess, tokenizer, source };
}
