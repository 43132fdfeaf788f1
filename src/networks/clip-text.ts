/** CLIP's text transformer (Radford et al., arXiv 2103.00020; transformers modeling_clip.py). */
import { abs, add, cast, gatherRows, gemm, lessOrEqual, mul, narrow, reshape, sub, sum } from '../tensor/ops.js';
import { constant, type Tensor } from '../tensor/tensor.js';
import { clipEncoder, readTower, type ClipEncoderConfig } from './clip-encoder.js';
import type { RawConfig } from './component-config.js';
import { layerNorm } from './layers/norm.js';
import type { Scope } from './layers/scope.js';

export interface ClipTextConfig extends ClipEncoderConfig {
  readonly maxPositions: number;
  readonly vocabSize: number;
  /** 2 in files from before transformers 4.30: the pooled position is then the largest id's */
  readonly eosTokenId: number;
}

const FIELDS = {
  hiddenSize: 512,
  intermediateSize: 2048,
  heads: 8,
  read: ['max_position_embeddings', 'vocab_size', 'eos_token_id'],
  allowed: {
    architectures: [['CLIPTextModel'], ['CLIPTextModelWithProjection'], ['CLIPModel'], null],
    use_attention_mask: [false, null],
    model_type: ['clip_text_model', 'clip'],
  },
};

/** @throws UserError naming the field that is unknown or not supported */
export function parseClipTextConfig(raw: RawConfig, where: string): ClipTextConfig {
  const { read, encoder } = readTower((raw['text_config'] as RawConfig | undefined) ?? raw, where, FIELDS);
  return {
    ...encoder,
    maxPositions: read.count('max_position_embeddings', 77, 4096),
    vocabSize: read.count('vocab_size', 49408),
    eosTokenId: read.number('eos_token_id', 49407),
  };
}

export interface ClipTextOutputs {
  /** [B, T, D], after the final norm */
  readonly lastHiddenState: Tensor;
  /** the embeddings and every layer's result, before the final norm */
  readonly hiddenStates: readonly Tensor[];
}

/** ids [B, T] int32, T <= max_position_embeddings */
export function clipText(scope: Scope, ids: Tensor, config: ClipTextConfig): ClipTextOutputs {
  const T = ids.shape[1],
    { hiddenSize: D } = config;
  const model = scope.child('text_model'),
    embeddings = model.child('embeddings');
  const tokens = gatherRows(embeddings.param('token_embedding.weight', [config.vocabSize, D]), ids);
  const positions = embeddings.param('position_embedding.weight', [config.maxPositions, D]);
  if (T > config.maxPositions) throw new RangeError(`clip text: ${T} tokens, the model takes ${config.maxPositions}`);
  const embedded = add(tokens, reshape(narrow(positions, 0, 0, T), [1, T, D]));
  const hiddenStates = clipEncoder(model.child('encoder'), embedded, config, causalMask(T));
  return { lastHiddenState: clipFinalNorm(scope, hiddenStates[config.layers], config), hiddenStates };
}

/** The final norm, also what clip_skip applies to an earlier layer. */
export const clipFinalNorm = (scope: Scope, x: Tensor, config: ClipTextConfig): Tensor =>
  layerNorm(scope.child('text_model', 'final_layer_norm'), x, config.normEps);

/**
 * The states [B, D] at the first end token of each row of ids [B, T] int32, as a graph; 0 for a row without one.
 * @param states [B, T, D]
 */
export function clipPooled(ids: Tensor, states: Tensor, end: number): Tensor {
  const [B, T] = ids.shape;
  const isEnd = lessOrEqual(abs(sub(cast(ids, 'float32'), end)), 0.5);
  const strictlyBefore = Float32Array.from({ length: T * T }, (_, i) => Number(Math.floor(i / T) < i % T));
  const earlier = gemm(isEnd, constant({ dtype: 'float32', shape: [T, T], data: strictlyBefore }));
  const first = mul(isEnd, lessOrEqual(earlier, 0.5));
  return sum(mul(states, reshape(first, [B, T, 1])), [1]);
}

/** The position whose state stands for the whole text: the end token. */
export function pooledPosition(ids: ArrayLike<number>, { eosTokenId }: ClipTextConfig): number {
  const list = Array.from(ids);
  const first = eosTokenId === 2 ? list.indexOf(Math.max(...list)) : list.indexOf(eosTokenId);
  return Math.max(first, 0);
}

/** 0 on and below the diagonal, the lowest float32 above: a token does not see later ones. */
function causalMask(T: number): Tensor {
  const data = Float32Array.from({ length: T * T }, (_, i) => (i % T > Math.floor(i / T) ? -3.4028234663852886e38 : 0));
  return constant({ dtype: 'float32', shape: [T, T], data });
}
