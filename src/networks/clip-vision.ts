/** CLIP's picture transformer (Dosovitskiy et al., arXiv 2010.11929; transformers modeling_clip.py, CLIPVisionModel). */
import { UserError } from '../base/errors.js';
import { add, concat, expand, narrow, reshape } from '../tensor/ops.js';
import { dims, type Tensor } from '../tensor/tensor.js';
import { clipEncoder, readTower, type ClipEncoderConfig } from './clip-encoder.js';
import type { RawConfig } from './component-config.js';
import { layerNorm } from './layers/norm.js';
import { patches } from './layers/patches.js';
import type { Scope } from './layers/scope.js';

export interface ClipVisionConfig extends ClipEncoderConfig {
  /** pixels of a side */
  readonly imageSize: number;
  readonly patchSize: number;
}

const FIELDS = {
  hiddenSize: 768,
  intermediateSize: 3072,
  heads: 12,
  read: ['image_size', 'patch_size'],
  allowed: {
    architectures: [['CLIPVisionModel'], ['CLIPModel'], null],
    model_type: ['clip_vision_model', 'clip'],
    num_channels: [3],
  },
};

/** @throws UserError naming the field that is unknown or not supported */
export function parseClipVisionConfig(raw: RawConfig, where: string): ClipVisionConfig {
  const { read, encoder } = readTower((raw['vision_config'] as RawConfig | undefined) ?? raw, where, FIELDS);
  const imageSize = read.count('image_size', 224, 4096),
    patchSize = read.count('patch_size', 32);
  if (patchSize > imageSize)
    throw new UserError(`${where}: patch_size ${patchSize} is larger than image_size ${imageSize}`);
  return { ...encoder, imageSize, patchSize };
}

export interface ClipVisionOutputs {
  /** [B, 1 + patches, D], before the final norm, as transformers' last_hidden_state */
  readonly lastHiddenState: Tensor;
  /** [B, D], the class token after the final norm */
  readonly pooled: Tensor;
}

/** @param pixels [B, 3, image_size, image_size] float32, normalised as preprocessor_config.json says */
export function clipVision(scope: Scope, pixels: Tensor, config: ClipVisionConfig): ClipVisionOutputs {
  const [B, , H, W] = dims(pixels, 'B 3 H W'),
    { imageSize, hiddenSize: D } = config;
  if (H !== imageSize || W !== imageSize)
    throw new RangeError(`clip vision: pictures of ${W}x${H} pixels, the model takes ${imageSize}x${imageSize}`);
  const model = scope.child('vision_model'),
    embeddings = model.child('embeddings');
  const first = expand(reshape(embeddings.param('class_embedding', [D]), [1, 1, D]), [B, 1, D]);
  const tokens = concat(
    [first, patches(embeddings.child('patch_embedding'), pixels, config.patchSize, D, { bias: false })],
    1,
  );
  const embedded = add(tokens, embeddings.param('position_embedding.weight', [tokens.shape[1], D]));
  const states = clipEncoder(
    model.child('encoder'),
    layerNorm(model.child('pre_layrnorm'), embedded, config.normEps),
    config,
  );
  const lastHiddenState = states[config.layers];
  const classToken = reshape(narrow(lastHiddenState, 1, 0, 1), [B, D]);
  return { lastHiddenState, pooled: layerNorm(model.child('post_layernorm'), classToken, config.normEps) };
}
