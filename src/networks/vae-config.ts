/** config.json of an AutoencoderKL. */
import { UserError } from '../base/errors.js';
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
const READ = [
  'in_channels',
  'out_channels',
  'latent_channels',
  'block_out_channels',
  'layers_per_block',
  'norm_num_groups',
  'scaling_factor',
  'down_block_types',
  'up_block_types',
  'use_quant_conv',
  'use_post_quant_conv',
  'mid_block_add_attention',
];
const ALLOWED: Allowed = {
  _class_name: ['AutoencoderKL'],
  act_fn: ['silu', 'swish'],
  latents_mean: [null],
  latents_std: [null],
  shift_factor: [null],
};
const HARMLESS = ['sample_size', 'force_upcast'];

/** @throws UserError naming the field that is unknown or not supported */
export function parseVaeConfig(raw: RawConfig, where: string): VaeConfig {
  const read = new ConfigReader(raw, where);
  read.onlyAllow(ALLOWED);
  read.refuseUnknown([...READ, ...Object.keys(ALLOWED), ...HARMLESS]);
  const blockOutChannels = read.counts('block_out_channels', [64]),
    normGroups = read.count('norm_num_groups', 32);
  for (const [key, kind] of [
    ['down_block_types', 'DownEncoderBlock2D'],
    ['up_block_types', 'UpDecoderBlock2D'],
  ]) {
    const types = read.names(key, [kind]);
    const other = types.find((t) => t !== kind);
    if (other !== undefined)
      throw new UserError(`${where}: block type "${other}" is not supported; supported: ${kind}`);
    if (types.length !== blockOutChannels.length)
      throw new UserError(
        `${where}: ${key} has ${types.length} entries, block_out_channels ${blockOutChannels.length}; they must agree`,
      );
  }
  const odd = blockOutChannels.find((c) => c % normGroups !== 0);
  if (odd !== undefined)
    throw new UserError(`${where}: block_out_channels ${odd} is not a multiple of norm_num_groups ${normGroups}`);
  const scalingFactor = read.number('scaling_factor', SCALING);
  if (scalingFactor <= 0)
    throw new UserError(`${where}: scaling_factor = ${scalingFactor} is not supported; it must be more than 0`);
  return {
    inChannels: read.count('in_channels', 3),
    outChannels: read.count('out_channels', 3),
    latentChannels: read.count('latent_channels', 4),
    blockOutChannels,
    layersPerBlock: read.count('layers_per_block', 1, 32),
    normGroups,
    scalingFactor,
    useQuantConv: read.flag('use_quant_conv', true),
    usePostQuantConv: read.flag('use_post_quant_conv', true),
    midAttention: read.flag('mid_block_add_attention', true),
  };
}
