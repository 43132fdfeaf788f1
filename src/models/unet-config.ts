/** config.json of a UNet2DConditionModel, with diffusers' defaults for what older files lack. */
import { UserError } from '../errors.js';
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
  readonly downsamplePadding: number;
  readonly useLinearProjection: boolean;
}

const READ = [
  'in_channels', 'out_channels', 'sample_size', 'block_out_channels', 'layers_per_block', 'attention_head_dim', 'num_attention_heads',
  'transformer_layers_per_block', 'down_block_types', 'up_block_types', 'mid_block_type', 'cross_attention_dim', 'norm_num_groups',
  'norm_eps', 'flip_sin_to_cos', 'freq_shift', 'downsample_padding', 'use_linear_projection', 'time_embedding_dim',
];
/** Features of other models: only the value that means "off". `upcast_attention` changes precision, and float32 is used anyway. */
const ALLOWED: Allowed = {
  act_fn: ['silu', 'swish'], addition_embed_type: [null], addition_time_embed_dim: [null], attention_type: ['default'], center_input_sample: [false],
  class_embed_type: [null], class_embeddings_concat: [false], conv_in_kernel: [3], conv_out_kernel: [3], cross_attention_norm: [null],
  dropout: [0], dual_cross_attention: [false], encoder_hid_dim: [null], encoder_hid_dim_type: [null], mid_block_only_cross_attention: [null, false],
  mid_block_scale_factor: [1], num_class_embeds: [null], only_cross_attention: [false, null], projection_class_embeddings_input_dim: [null],
  resnet_out_scale_factor: [1], resnet_skip_time_act: [false], resnet_time_scale_shift: ['default'], reverse_transformer_layers_per_block: [null],
  time_cond_proj_dim: [null], time_embedding_act_fn: [null], time_embedding_type: ['positional'], timestep_post_act: [null], upcast_attention: [false, true, null],
  mid_block_type: ['UNetMidBlock2DCrossAttn', null],
};
const HARMLESS = ['addition_embed_type_num_heads', 'attention_bias', 'resnet_pre_norm'];

/** @param where the file, for errors  @throws UserError naming the field that is missing, unknown or not supported */
export function parseUNetConfig(raw: RawConfig, where: string): UNetConfig {
  const read = new ConfigReader(raw, where);
  read.onlyAllow(ALLOWED);
  read.refuseUnknown([...READ, ...Object.keys(ALLOWED), ...HARMLESS]);
  const blockOutChannels = read.need<number[]>('block_out_channels');
  const stages = blockOutChannels.length;
  const perStage = (key: string, value: number | readonly number[]): readonly number[] => {
    const list = typeof value === 'number' ? blockOutChannels.map(() => value) : value;
    if (list.length !== stages) throw new UserError(`${where}: ${key} has ${list.length} values for ${stages} blocks; give one per entry of block_out_channels`);
    return list;
  };
  const down = read.need<string[]>('down_block_types'), up = read.need<string[]>('up_block_types');
  perStage('down_block_types', down.map(() => 0));
  perStage('up_block_types', up.map(() => 0));
  const attends = (types: readonly string[], kinds: Readonly<Record<string, boolean>>): boolean[] => types.map((type) => {
    if (kinds[type] === undefined) throw new UserError(`${where}: block type "${type}" is not supported; supported: ${Object.keys(kinds).join(', ')}`);
    return kinds[type];
  });
  const normGroups = read.get('norm_num_groups', 32);
  const odd = blockOutChannels.find((c) => c % normGroups !== 0);
  if (odd !== undefined) throw new UserError(`${where}: block_out_channels ${odd} is not a multiple of norm_num_groups ${normGroups}`);
  return {
    inChannels: read.get('in_channels', 4),
    outChannels: read.get('out_channels', 4),
    sampleSize: read.get<number | null>('sample_size', null) ?? 64,
    blockOutChannels,
    layersPerBlock: perStage('layers_per_block', read.get('layers_per_block', 2)),
    // In SD 1.x and 2.x `attention_head_dim` is the number of heads (a name that diffusers kept).
    heads: perStage('attention_head_dim', read.get<number | number[] | null>('num_attention_heads', null) ?? read.get('attention_head_dim', 8)),
    transformerLayers: perStage('transformer_layers_per_block', read.get('transformer_layers_per_block', 1)),
    downAttention: attends(down, { CrossAttnDownBlock2D: true, DownBlock2D: false }),
    upAttention: attends(up, { CrossAttnUpBlock2D: true, UpBlock2D: false }),
    hasMidBlock: read.get<string | null>('mid_block_type', 'UNetMidBlock2DCrossAttn') !== null,
    crossAttentionDim: read.get('cross_attention_dim', 1280),
    timeEmbedDim: read.get<number | null>('time_embedding_dim', null) ?? blockOutChannels[0] * 4,
    normGroups,
    normEps: read.get('norm_eps', 1e-5),
    flipSinToCos: read.get('flip_sin_to_cos', true),
    freqShift: read.get('freq_shift', 0),
    downsamplePadding: read.get('downsample_padding', 1),
    useLinearProjection: read.get('use_linear_projection', false),
  };
}
