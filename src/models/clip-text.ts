/** CLIP's text transformer (Radford et al., arXiv 2103.00020; transformers modeling_clip.py). */
import { UserError } from '../errors.js';
import { add, gatherRows, gelu, matmul, mul, narrow, quickGelu, reshape, softmax, transpose } from '../tensor/ops.js';
import { constant, type Tensor } from '../tensor/tensor.js';
import { ConfigReader, type Allowed, type RawConfig } from './component-config.js';
import { linear } from './layers/linear.js';
import { layerNorm } from './layers/norm.js';
import type { Scope } from './layers/scope.js';

export interface ClipTextConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly maxPositions: number;
  readonly vocabSize: number;
  readonly normEps: number;
  readonly activation: 'quick_gelu' | 'gelu';
  /** 2 in files from before transformers 4.30: the pooled position is then the largest id's */
  readonly eosTokenId: number;
}

const READ = ['hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'max_position_embeddings', 'vocab_size', 'layer_norm_eps', 'eos_token_id'];
const ALLOWED: Allowed = {
  architectures: [['CLIPTextModel'], ['CLIPModel'], null], model_type: ['clip_text_model', 'clip'], hidden_act: ['quick_gelu', 'gelu'], attention_dropout: [0], dropout: [0],
  is_decoder: [false], is_encoder_decoder: [false], add_cross_attention: [false], pruned_heads: [{}, null],
};
/** Initialisation, the image side's width, and what transformers writes into every config without effect on a text encoder. */
const HARMLESS = [
  'initializer_factor', 'initializer_range', 'projection_dim', 'torch_dtype', 'dtype', 'transformers_version', 'bos_token_id', 'pad_token_id', 'sep_token_id', 'decoder_start_token_id',
  'return_dict', 'output_hidden_states', 'output_attentions', 'output_scores', 'return_dict_in_generate', 'torchscript', 'use_bfloat16', 'tf_legacy_loss', 'use_cache', 'gradient_checkpointing',
  'tie_word_embeddings', 'tie_encoder_decoder', 'chunk_size_feed_forward', 'cross_attention_hidden_size', 'max_length', 'min_length', 'do_sample', 'early_stopping', 'num_beams', 'num_beam_groups',
  'diversity_penalty', 'temperature', 'top_k', 'top_p', 'typical_p', 'repetition_penalty', 'length_penalty', 'no_repeat_ngram_size', 'encoder_no_repeat_ngram_size', 'bad_words_ids',
  'num_return_sequences', 'forced_bos_token_id', 'forced_eos_token_id', 'remove_invalid_values', 'exponential_decay_length_penalty', 'suppress_tokens', 'begin_suppress_tokens',
  'finetuning_task', 'id2label', 'label2id', 'tokenizer_class', 'prefix', 'task_specific_params', 'problem_type',
];

/** @throws UserError naming the field that is unknown or not supported */
export function parseClipTextConfig(raw: RawConfig, where: string): ClipTextConfig {
  const inner = (raw['text_config'] as RawConfig | undefined) ?? raw;
  const read = new ConfigReader(inner, where);
  read.onlyAllow(ALLOWED);
  read.refuseUnknown([...READ, ...Object.keys(ALLOWED), ...HARMLESS]);
  const hiddenSize = read.count('hidden_size', 512), heads = read.count('num_attention_heads', 8);
  if (hiddenSize % heads !== 0) throw new UserError(`${where}: hidden_size ${hiddenSize} is not a multiple of num_attention_heads ${heads}`);
  return {
    hiddenSize, heads,
    intermediateSize: read.count('intermediate_size', 2048),
    layers: read.count('num_hidden_layers', 12),
    maxPositions: read.count('max_position_embeddings', 77),
    vocabSize: read.count('vocab_size', 49408),
    normEps: read.number('layer_norm_eps', 1e-5),
    activation: inner['hidden_act'] === 'gelu' ? 'gelu' : 'quick_gelu',
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
  const [B, T] = ids.shape, { hiddenSize: D } = config;
  const model = scope.child('text_model'), embeddings = model.child('embeddings');
  const tokens = gatherRows(embeddings.param('token_embedding.weight', [config.vocabSize, D]), ids);
  const positions = embeddings.param('position_embedding.weight', [config.maxPositions, D]);
  if (T > config.maxPositions) throw new RangeError(`clip text: ${T} tokens, the model takes ${config.maxPositions}`);
  const hiddenStates = [add(tokens, reshape(narrow(positions, 0, 0, T), [1, T, D]))];
  const mask = causalMask(T);
  for (let i = 0; i < config.layers; i++) {
    const layer = model.child('encoder', 'layers', i), x = hiddenStates[i];
    const y = add(x, selfAttention(layer.child('self_attn'), layerNorm(layer.child('layer_norm1'), x, config.normEps), config.heads, mask, B));
    hiddenStates.push(add(y, mlp(layer.child('mlp'), layerNorm(layer.child('layer_norm2'), y, config.normEps), config)));
  }
  return { lastHiddenState: clipFinalNorm(scope, hiddenStates[config.layers], config), hiddenStates };
}

/** The final norm, also what clip_skip applies to an earlier layer. */
export const clipFinalNorm = (scope: Scope, x: Tensor, config: ClipTextConfig): Tensor =>
  layerNorm(scope.child('text_model', 'final_layer_norm'), x, config.normEps);

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

function selfAttention(scope: Scope, x: Tensor, heads: number, mask: Tensor, B: number): Tensor {
  const [, T, D] = x.shape, K = D / heads;
  const project = (name: string): Tensor => reshape(transpose(reshape(linear(scope.child(name), x, D), [B, T, heads, K]), [0, 2, 1, 3]), [B * heads, T, K]);
  const scores = matmul(mul(project('q_proj'), K ** -0.5), project('k_proj'), false, true);
  const out = matmul(softmax(add(scores, mask)), project('v_proj'));
  return linear(scope.child('out_proj'), reshape(transpose(reshape(out, [B, heads, T, K]), [0, 2, 1, 3]), [B, T, D]), D);
}

function mlp(scope: Scope, x: Tensor, { intermediateSize, hiddenSize, activation }: ClipTextConfig): Tensor {
  const hidden = linear(scope.child('fc1'), x, intermediateSize);
  return linear(scope.child('fc2'), activation === 'gelu' ? gelu(hidden) : quickGelu(hidden), hiddenSize);
}
