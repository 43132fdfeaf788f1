/** config.json of an AutoencoderKL. */
import { UserError } from '../errors.js';
import { ConfigReader, type Allowed, type RawConfig } from './component-config.js';

export interface VaeConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly latentChannels: number;
  readonly blockOutChannels: readonly number[];
  readonly layersPerBlock: number;
  readonly normGroups: number;
  /** latents are multiplied by this for the U-Net */
  readonly scalingFactor: number;
  readonly useQuantConv: boolean;
  readonly usePostQuantConv: boolean;
  /** self-attention in the middle */
  readonly midAttention: boolean;
}

const SCALING = 0.18215; // SD 1.x; AutoencoderKL's default where older files lack the field
const READ = ['in_channels', 'out_channels', 'latent_channels', 'block_out_channels', 'layers_per_block', 'norm_num_groups', 'scaling_factor', 'down_block_types', 'up_block_types', 'use_quant_conv', 'use_post_quant_conv', 'mid_block_add_attention'];
const ALLOWED: Allowed = { act_fn: ['silu', 'swish'], latents_mean: [null], latents_std: [null], shift_factor: [null] };
const HARMLESS = ['sample_size', 'force_upcast'];

/** @throws UserError naming the field that is missing, unknown or not supported */
export function parseVaeConfig(raw: RawConfig, where: string): VaeConfig {
  const read = new ConfigReader(raw, where);
  read.onlyAllow(ALLOWED);
  read.refuseUnknown([...READ, ...Object.keys(ALLOWED), ...HARMLESS]);
  const blockOutChannels = read.need<number[]>('block_out_channels');
  for (const [key, kind] of [['down_block_types', 'DownEncoderBlock2D'], ['up_block_types', 'UpDecoderBlock2D']]) {
    const types = read.need<string[]>(key);
    const other = types.find((t) => t !== kind);
    if (other !== undefined) throw new UserError(`${where}: block type "${other}" is not supported; supported: ${kind}`);
    if (types.length !== blockOutChannels.length) throw new UserError(`${where}: ${key} has ${types.length} entries, block_out_channels ${blockOutChannels.length}; they must agree`);
  }
  return {
    inChannels: read.get('in_channels', 3),
    outChannels: read.get('out_channels', 3),
    latentChannels: read.get('latent_channels', 4),
    blockOutChannels,
    layersPerBlock: read.get('layers_per_block', 1),
    normGroups: read.get('norm_num_groups', 32),
    scalingFactor: read.get('scaling_factor', SCALING),
    useQuantConv: read.get('use_quant_conv', true),
    usePostQuantConv: read.get('use_post_quant_conv', true),
    midAttention: read.get('mid_block_add_attention', true),
  };
}
