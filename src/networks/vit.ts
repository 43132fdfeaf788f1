/**
 * Vision transformers that learn without labels: DINO's ViT (Caron et al., arXiv 2104.14294; transformers modeling_vit.py,
 * ViTModel) and DINOv2 (Oquab et al., arXiv 2304.07193; modeling_dinov2.py, Dinov2Model).
 */
import { UserError } from '../base/errors.js';
import { add, attention, concat, expand, gelu, gemm, mul, narrow, reshape, silu } from '../tensor/ops.js';
import { constant, dims, type Tensor } from '../tensor/tensor.js';
import { float32, type HostTensor } from '../tensor/host.js';
import { HARMLESS } from './clip-encoder.js';
import { ConfigReader, type RawConfig } from './component-config.js';
import { linear } from './layers/linear.js';
import { layerNorm } from './layers/norm.js';
import { patches } from './layers/patches.js';
import type { Scope } from './layers/scope.js';

export interface VitConfig {
  readonly kind: 'vit' | 'dinov2';
  readonly hiddenSize: number;
  /** width between the two products of a feed-forward layer */
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly normEps: number;
  /** pixels of a side that the positions were learnt for */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly qkvBias: boolean;
  /** the feed-forward layer of the largest DINOv2: silu(a) * b */
  readonly isGated: boolean;
}

const READ = [
  'hidden_size',
  'num_hidden_layers',
  'num_attention_heads',
  'layer_norm_eps',
  'image_size',
  'patch_size',
  'qkv_bias',
];
/** Dropout and start values, of use in training alone, and heads that features do not pass. */
const UNUSED = [
  'hidden_dropout_prob',
  'attention_probs_dropout_prob',
  'drop_path_rate',
  'layerscale_value',
  'encoder_stride',
  'pooler_output_size',
  'pooler_act',
  'use_mask_token',
  'apply_layernorm',
  'reshape_hidden_states',
  'stage_names',
  'out_features',
  'out_indices',
];
const KINDS = {
  vit: {
    read: ['intermediate_size'],
    architectures: [['ViTModel'], ['ViTForImageClassification'], null],
    normEps: 1e-12,
    patchSize: 16,
  },
  dinov2: {
    read: ['mlp_ratio', 'use_swiglu_ffn'],
    architectures: [['Dinov2Model'], ['Dinov2ForImageClassification'], ['Dinov2Backbone'], null],
    normEps: 1e-6,
    patchSize: 14,
  },
} as const;

/** @throws UserError naming the field that is unknown or not supported */
export function parseVitConfig(raw: RawConfig, where: string): VitConfig {
  const kind = raw['model_type'];
  if (kind !== 'vit' && kind !== 'dinov2')
    throw new UserError(
      `${where}: model_type = ${JSON.stringify(kind)} is not supported; supported: "vit" (DINO, such as facebook/dino-vits16) and "dinov2" (such as facebook/dinov2-small)`,
    );
  const { read: own, architectures, normEps, patchSize: usual } = KINDS[kind],
    read = new ConfigReader(raw, where),
    allowed = { architectures, num_channels: [3], hidden_act: ['gelu'] };
  read.onlyAllow(allowed);
  read.refuseUnknown([...READ, ...own, 'model_type', ...Object.keys(allowed), ...UNUSED, ...HARMLESS]);
  const hiddenSize = read.count('hidden_size', 768),
    heads = read.count('num_attention_heads', 12),
    imageSize = read.count('image_size', 224, 4096),
    patchSize = read.count('patch_size', usual);
  if (hiddenSize % heads !== 0)
    throw new UserError(`${where}: hidden_size ${hiddenSize} is not a multiple of num_attention_heads ${heads}`);
  if (patchSize > imageSize)
    throw new UserError(`${where}: patch_size ${patchSize} is larger than image_size ${imageSize}`);
  const isGated = kind === 'dinov2' && read.flag('use_swiglu_ffn', false),
    wide = kind === 'vit' ? read.count('intermediate_size', 3072) : hiddenSize * read.count('mlp_ratio', 4);
  return {
    kind,
    hiddenSize,
    intermediateSize: isGated ? Math.ceil(Math.trunc((wide * 2) / 3) / 8) * 8 : wide,
    layers: read.count('num_hidden_layers', 12, 128),
    heads,
    normEps: read.positive('layer_norm_eps', normEps),
    imageSize,
    patchSize,
    qkvBias: read.flag('qkv_bias', true),
    isGated,
  };
}

export interface VitOptions {
  /** takes pictures of any size, as DINOv2 always does; transformers' interpolate_pos_encoding */
  readonly interpolatePositions?: boolean;
}

/**
 * @param pixels [B, 3, H, W] float32, normalised as preprocessor_config.json says; of `image_size`, or of any size where
 * positions are interpolated
 * @returns [B, 1 + patches, D] after the final norm; row 0, the class token, is the picture's feature
 */
export function vit(
  scope: Scope,
  pixels: Tensor,
  config: VitConfig,
  { interpolatePositions = config.kind === 'dinov2' }: VitOptions = {},
): Tensor {
  const [B, , H, W] = dims(pixels, 'B 3 H W'),
    { imageSize, hiddenSize: D, kind } = config;
  if (!interpolatePositions && (H !== imageSize || W !== imageSize))
    throw new RangeError(`vit: pictures of ${W}x${H} pixels, the model takes ${imageSize}x${imageSize}`);
  const embeddings = scope.child('embeddings'),
    projection = embeddings.child('patch_embeddings', 'projection');
  const first = expand(embeddings.param('cls_token', [1, 1, D]), [B, 1, D]);
  const tokens = concat([first, patches(projection, pixels, config.patchSize, D)], 1);
  let x = add(tokens, positions(embeddings, H, W, config));
  for (let i = 0; i < config.layers; i++) {
    const layer = scope.child('encoder', 'layer', i);
    x = kind === 'vit' ? vitLayer(layer, x, config) : dinov2Layer(layer, x, config);
  }
  return layerNorm(scope.child('layernorm'), x, config.normEps);
}

function vitLayer(scope: Scope, x: Tensor, config: VitConfig): Tensor {
  const { normEps, intermediateSize, hiddenSize } = config;
  const y = add(
    x,
    selfAttention(scope.child('attention'), layerNorm(scope.child('layernorm_before'), x, normEps), config),
  );
  const hidden = linear(
    scope.child('intermediate', 'dense'),
    layerNorm(scope.child('layernorm_after'), y, normEps),
    intermediateSize,
  );
  return add(y, linear(scope.child('output', 'dense'), gelu(hidden), hiddenSize));
}

function dinov2Layer(scope: Scope, x: Tensor, config: VitConfig): Tensor {
  const { normEps, hiddenSize: D } = config;
  const scaled = (name: string, branch: Tensor): Tensor => mul(branch, scope.param(`${name}.lambda1`, [D]));
  const y = add(
    x,
    scaled(
      'layer_scale1',
      selfAttention(scope.child('attention'), layerNorm(scope.child('norm1'), x, normEps), config),
    ),
  );
  return add(
    y,
    scaled('layer_scale2', feedForward(scope.child('mlp'), layerNorm(scope.child('norm2'), y, normEps), config)),
  );
}

function feedForward(scope: Scope, x: Tensor, { intermediateSize: I, hiddenSize: D, isGated }: VitConfig): Tensor {
  if (!isGated) return linear(scope.child('fc2'), gelu(linear(scope.child('fc1'), x, I)), D);
  const both = linear(scope.child('weights_in'), x, 2 * I),
    gate = narrow(both, 2, 0, I),
    value = narrow(both, 2, I, 2 * I);
  return linear(scope.child('weights_out'), mul(silu(gate), value), D);
}

function selfAttention(scope: Scope, x: Tensor, { hiddenSize: D, heads, qkvBias }: VitConfig): Tensor {
  const project = (name: string): Tensor => linear(scope.child('attention', name), x, D, { bias: qkvBias });
  const seen = attention(project('query'), project('key'), project('value'), heads, (D / heads) ** -0.5);
  return linear(scope.child('output', 'dense'), seen, D);
}

/** [1, 1 + patches, D]: as learnt, or for a picture of another size between the learnt ones. */
function positions(scope: Scope, H: number, W: number, { imageSize, patchSize, hiddenSize: D }: VitConfig): Tensor {
  const side = Math.floor(imageSize / patchSize),
    [rows, columns] = [Math.floor(H / patchSize), Math.floor(W / patchSize)];
  const learnt = scope.param('position_embeddings', [1, 1 + side * side, D]);
  if (rows === side && columns === side) return learnt;
  const grid = reshape(narrow(learnt, 1, 1, 1 + side * side), [side * side, D]);
  const between = gemm(constant(kronecker(bicubicRows(side, rows), bicubicRows(side, columns))), grid);
  return concat([narrow(learnt, 1, 0, 1), reshape(between, [1, rows * columns, D])], 1);
}

/** Of torch's bicubic interpolation. */
const A = -0.75;

/**
 * What each of `to` places takes of `from` places along one axis: torch.nn.functional.interpolate, mode "bicubic",
 * align_corners false.
 * @returns [to, from], row by row
 */
export function bicubicRows(from: number, to: number): number[][] {
  return Array.from({ length: to }, (_, i) => {
    const at = ((i + 0.5) * from) / to - 0.5,
      left = Math.floor(at),
      row = new Array<number>(from).fill(0);
    for (let k = -1; k <= 2; k++) row[Math.min(from - 1, Math.max(0, left + k))] += cubic(Math.abs(at - left - k));
    return row;
  });
}

/** Keys' convolution kernel at a distance of 0 to 2. */
const cubic = (d: number): number =>
  d <= 1 ? ((A + 2) * d - (A + 3)) * d * d + 1 : d < 2 ? ((A * d - 5 * A) * d + 8 * A) * d - 4 * A : 0;

/** @param a [m, n] @param b [p, q] @returns [m * p, n * q] */
function kronecker(a: readonly number[][], b: readonly number[][]): HostTensor {
  const columns = a[0].length * b[0].length;
  return float32(Float32Array.from(a.flatMap((ra) => b.flatMap((rb) => ra.flatMap((x) => rb.map((y) => x * y))))), [
    a.length * b.length,
    columns,
  ]);
}
