/** The transformer that both towers of CLIP share (transformers modeling_clip.py, CLIPEncoder). */
import { UserError } from '../base/errors.js';
import { add, attention, gelu, matmul, mul, quickGelu, reshape, softmax, transpose } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import { ConfigReader, type Allowed, type RawConfig } from './component-config.js';
import { linear } from './layers/linear.js';
import { layerNorm } from './layers/norm.js';
import type { Scope } from './layers/scope.js';

export interface ClipEncoderConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly normEps: number;
  readonly activation: 'quick_gelu' | 'gelu';
}

const READ = ['hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'layer_norm_eps'];
const ALLOWED: Allowed = {
  hidden_act: ['quick_gelu', 'gelu'],
  attention_dropout: [0],
  dropout: [0],
  is_decoder: [false],
  is_encoder_decoder: [false],
  add_cross_attention: [false],
  pruned_heads: [{}, null],
};
/** Initialisation, the common width, and what transformers writes into every config without effect on an encoder. */
export const HARMLESS = [
  'initializer_factor',
  'initializer_range',
  'projection_dim',
  'torch_dtype',
  'dtype',
  'transformers_version',
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
  'sep_token_id',
  'decoder_start_token_id',
  'return_dict',
  'output_hidden_states',
  'output_attentions',
  'output_scores',
  'return_dict_in_generate',
  'torchscript',
  'use_bfloat16',
  'tf_legacy_loss',
  'use_cache',
  'gradient_checkpointing',
  'tie_word_embeddings',
  'tie_encoder_decoder',
  'chunk_size_feed_forward',
  'cross_attention_hidden_size',
  'max_length',
  'min_length',
  'do_sample',
  'early_stopping',
  'num_beams',
  'num_beam_groups',
  'diversity_penalty',
  'temperature',
  'top_k',
  'top_p',
  'typical_p',
  'repetition_penalty',
  'length_penalty',
  'no_repeat_ngram_size',
  'encoder_no_repeat_ngram_size',
  'bad_words_ids',
  'num_return_sequences',
  'forced_bos_token_id',
  'forced_eos_token_id',
  'remove_invalid_values',
  'exponential_decay_length_penalty',
  'suppress_tokens',
  'begin_suppress_tokens',
  'finetuning_task',
  'id2label',
  'label2id',
  'tokenizer_class',
  'prefix',
  'task_specific_params',
  'problem_type',
];

/** Of a tower: transformers' defaults, what else it reads, and what else it checks. */
export interface TowerFields {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly read: readonly string[];
  readonly allowed: Allowed;
}

/**
 * The fields of a tower's config.json that both towers have.
 * @throws UserError naming the field that is unknown or not supported
 */
export function readTower(
  raw: RawConfig,
  where: string,
  fields: TowerFields,
): { read: ConfigReader; encoder: ClipEncoderConfig } {
  const read = new ConfigReader(raw, where),
    allowed = { ...fields.allowed, ...ALLOWED };
  read.onlyAllow(allowed);
  read.refuseUnknown([...READ, ...fields.read, ...Object.keys(allowed), ...HARMLESS]);
  const hiddenSize = read.count('hidden_size', fields.hiddenSize),
    heads = read.count('num_attention_heads', fields.heads);
  if (hiddenSize % heads !== 0)
    throw new UserError(`${where}: hidden_size ${hiddenSize} is not a multiple of num_attention_heads ${heads}`);
  const encoder: ClipEncoderConfig = {
    hiddenSize,
    heads,
    intermediateSize: read.count('intermediate_size', fields.intermediateSize),
    layers: read.count('num_hidden_layers', 12, 128),
    normEps: read.positive('layer_norm_eps', 1e-5),
    activation: raw['hidden_act'] === 'gelu' ? 'gelu' : 'quick_gelu',
  };
  return { read, encoder };
}

/**
 * @param scope of `encoder` @param x embeddings [B, T, D]
 * @param mask [T, T] added to the scores; without, every token sees all
 * @returns `x` and every layer's result
 */
export function clipEncoder(scope: Scope, x: Tensor, config: ClipEncoderConfig, mask?: Tensor): Tensor[] {
  const states = [x];
  for (let i = 0; i < config.layers; i++) {
    const layer = scope.child('layers', i),
      before = states[i];
    const y = add(
      before,
      selfAttention(
        layer.child('self_attn'),
        layerNorm(layer.child('layer_norm1'), before, config.normEps),
        config.heads,
        mask,
      ),
    );
    states.push(add(y, mlp(layer.child('mlp'), layerNorm(layer.child('layer_norm2'), y, config.normEps), config)));
  }
  return states;
}

function selfAttention(scope: Scope, x: Tensor, heads: number, mask: Tensor | undefined): Tensor {
  const [B, T, D] = x.shape,
    K = D / heads,
    scale = K ** -0.5;
  const project = (name: string): Tensor => linear(scope.child(name), x, D);
  // The fused primitive knows no mask.
  if (!mask)
    return linear(
      scope.child('out_proj'),
      attention(project('q_proj'), project('k_proj'), project('v_proj'), heads, scale),
      D,
    );
  const split = (name: string): Tensor =>
    reshape(transpose(reshape(project(name), [B, T, heads, K]), [0, 2, 1, 3]), [B * heads, T, K]);
  const scores = matmul(mul(split('q_proj'), scale), split('k_proj'), false, true);
  const out = matmul(softmax(add(scores, mask)), split('v_proj'));
  return linear(
    scope.child('out_proj'),
    reshape(transpose(reshape(out, [B, heads, T, K]), [0, 2, 1, 3]), [B, T, D]),
    D,
  );
}

function mlp(scope: Scope, x: Tensor, { intermediateSize, hiddenSize, activation }: ClipEncoderConfig): Tensor {
  const hidden = linear(scope.child('fc1'), x, intermediateSize);
  return linear(scope.child('fc2'), activation === 'gelu' ? gelu(hidden) : quickGelu(hidden), hiddenSize);
}
