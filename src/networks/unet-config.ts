/** config.json of a UNet2DConditionModel, with diffusers' defaults for what older files lack. */
import { UserError } from '../base/errors.js';
import { ConfigReader, type Allowed, type RawConfig } from './component-config.js';

export interface UNetConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /** latent height and width the model was trained at */
  readonly sampleSize: number;
  readonly blockOutChannels: readonly number[];
  /** per stage, from the input down */
  readonly layersPerBlock: readonly number[];
  readonly heads: readonly number[];
  readonly transformerLayers: readonly number[];
  readonly downAttention: readonly boolean[];
  /** per up block, from the deepest up */
  readonly upAttention: readonly boolean[];
  readonly hasMidBlock: boolean;
  readonly crossAttentionDim: number;
  readonly timeEmbedDim: number;
  readonly normGroups: number;
  readonly normEps: number;
  readonly flipSinToCos: boolean;
  readonly freqShift: number;
  /** 1 on all sides, or 0: then below and on the right only */
  readonly downsamplePadding: number;
  readonly useLinearProjection: boolean;
}

const CROSS_DOWN = 'CrossAttnDownBlock2D',
  CROSS_UP = 'CrossAttnUpBlock2D';
const READ = [
  'in_channels',
  'out_channels',
  'sample_size',
  'block_out_channels',
  'layers_per_block',
  'attention_head_dim',
  'num_attention_heads',
  'transformer_layers_per_block',
  'down_block_types',
  'up_block_types',
  'mid_block_type',
  'cross_attention_dim',
  'norm_num_groups',
  'norm_eps',
  'flip_sin_to_cos',
  'freq_shift',
  'downsample_padding',
  'use_linear_projection',
  'time_embedding_dim',
];
/** Features of other models: only the value that means "off". `upcast_attention` changes precision, and float32 is used anyway. */
const ALLOWED: Allowed = {
  _class_name: ['UNet2DConditionModel'],
  act_fn: ['silu', 'swish'],
  addition_embed_type: [null],
  addition_time_embed_dim: [null],
  attention_type: ['default'],
  center_input_sample: [false],
  class_embed_type: [null],
  class_embeddings_concat: [false],
  conv_in_kernel: [3],
  conv_out_kernel: [3],
  cross_attention_norm: [null],
  dropout: [0],
  dual_cross_attention: [false],
  encoder_hid_dim: [null],
  encoder_hid_dim_type: [null],
  mid_block_only_cross_attention: [null, false],
  mid_block_scale_factor: [1],
  num_class_embeds: [null],
  only_cross_attention: [false, null],
  projection_class_embeddings_input_dim: [null],
  resnet_out_scale_factor: [1],
  resnet_skip_time_act: [false],
  resnet_time_scale_shift: ['default'],
  reverse_transformer_layers_per_block: [null],
  time_cond_proj_dim: [null],
  time_embedding_act_fn: [null],
  time_embedding_type: ['positional'],
  timestep_post_act: [null],
  upcast_attention: [false, true, null],
  mid_block_type: ['UNetMidBlock2DCrossAttn', null],
  downsample_padding: [0, 1],
};
const HARMLESS = ['addition_embed_type_num_heads', 'attention_bias', 'resnet_pre_norm'];

/** Layers of a block: SDXL has 2, with up to 10 transformers each. */
const MAX_LAYERS = 32;
/** Latents of a picture of 32,768 pixels. */
const MAX_SIDE = 4096;

/** @param where the file, for errors  @throws UserError naming the field that is unknown or not supported */
export function parseUNetConfig(raw: RawConfig, where: string): UNetConfig {
  const read = new ConfigReader(raw, where);
  read.onlyAllow(ALLOWED);
  read.refuseUnknown([...READ, ...Object.keys(ALLOWED), ...HARMLESS]);
  const blockOutChannels = read.counts('block_out_channels', [320, 640, 1280, 1280]),
    stages = blockOutChannels.length;
  const perStage = <T>(key: string, value: T | readonly T[]): readonly T[] => {
    const list = Array.isArray(value) ? (value as readonly T[]) : blockOutChannels.map(() => value as T);
    if (list.length !== stages)
      throw new UserError(
        `${where}: ${key} has ${list.length} values for ${stages} blocks; give one per entry of block_out_channels`,
      );
    return list;
  };
  const down = perStage(
    'down_block_types',
    read.names('down_block_types', [CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, 'DownBlock2D']),
  );
  const up = perStage('up_block_types', read.names('up_block_types', ['UpBlock2D', CROSS_UP, CROSS_UP, CROSS_UP]));
  const attends = (types: readonly string[], kinds: Readonly<Record<string, boolean>>): boolean[] =>
    types.map((type) => {
      if (!Object.hasOwn(kinds, type))
        throw new UserError(
          `${where}: block type "${type}" is not supported; supported: ${Object.keys(kinds).join(', ')}`,
        );
      return kinds[type];
    });
  const normGroups = read.count('norm_num_groups', 32);
  const odd = blockOutChannels.find((c) => c % normGroups !== 0);
  if (odd !== undefined)
    throw new UserError(`${where}: block_out_channels ${odd} is not a multiple of norm_num_groups ${normGroups}`);
  // In SD 1.x and 2.x `attention_head_dim` is the number of heads (a name that diffusers kept).
  const heads = perStage(
    'attention_head_dim',
    read.countOrCounts('num_attention_heads', null) ?? read.countOrCounts('attention_head_dim', 8),
  );
  const downAttention = attends(down, { [CROSS_DOWN]: true, DownBlock2D: false });
  const upAttention = attends(up, { [CROSS_UP]: true, UpBlock2D: false });
  const hasMidBlock = raw['mid_block_type'] !== null;
  blockOutChannels.forEach((channels, i) => {
    const isUsed = downAttention[i] || upAttention[stages - 1 - i] || (hasMidBlock && i === stages - 1);
    if (isUsed && channels % heads[i] !== 0)
      throw new UserError(
        `${where}: block_out_channels ${channels} is not a multiple of its ${heads[i]} attention heads`,
      );
  });
  return {
    inChannels: read.count('in_channels', 4),
    outChannels: read.count('out_channels', 4),
    sampleSize: read.count('sample_size', null, MAX_SIDE) ?? 64,
    blockOutChannels,
    layersPerBlock: perStage('layers_per_block', read.countOrCounts('layers_per_block', 2, MAX_LAYERS)),
    heads,
    transformerLayers: perStage(
      'transformer_layers_per_block',
      read.countOrCounts('transformer_layers_per_block', 1, MAX_LAYERS),
    ),
    downAttention,
    upAttention,
    hasMidBlock,
    crossAttentionDim: read.count('cross_attention_dim', 1280),
    timeEmbedDim: read.count('time_embedding_dim', null) ?? blockOutChannels[0] * 4,
    normGroups,
    normEps: read.positive('norm_eps', 1e-5),
    flipSinToCos: read.flag('flip_sin_to_cos', true),
    freqShift: read.number('freq_shift', 0),
    downsamplePadding: read.number('downsample_padding', 1),
    useLinearProjection: read.flag('use_linear_projection', false),
  };
}
