/** AutoencoderKL: pictures to latents and back (Rombach et al., arXiv 2112.10752; diffusers autoencoder_kl.py). */
import { add, attention, maximum, minimum, narrow, reshape, silu, transpose } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import { conv2d } from './layers/conv.js';
import { linear } from './layers/linear.js';
import { groupNorm } from './layers/norm.js';
import { downsample, resnet, upsample } from './layers/resnet.js';
import type { Scope } from './layers/scope.js';
import type { VaeConfig } from './vae-config.js';

const EPS = 1e-6; // group norms of the VAE, diffusers vae.py
const LOGVAR_MIN = -30,
  LOGVAR_MAX = 20; // DiagonalGaussianDistribution

export interface Moments {
  /** [B, latent_channels, h, w], not scaled */
  readonly mean: Tensor;
  readonly logvar: Tensor;
}

/** image [B, 3, H, W] in [-1, 1]; H and W multiples of the factor. `taps` are block outputs, for tests. */
export function vaeEncode(scope: Scope, image: Tensor, config: VaeConfig, taps: Record<string, Tensor> = {}): Moments {
  const { blockOutChannels: channels, normGroups: groups, latentChannels } = config;
  const encoder = scope.child('encoder'),
    last = channels.length - 1;
  let x = (taps['encoder.conv_in'] = conv2d(encoder.child('conv_in'), image, channels[0]));
  channels.forEach((out, i) => {
    const block = encoder.child('down_blocks', i);
    for (let j = 0; j < config.layersPerBlock; j++)
      x = resnet(block.child('resnets', j), x, undefined, out, groups, EPS);
    if (i < last) x = downsample(block.child('downsamplers', 0), x, 0);
    taps[`encoder.down_blocks.${i}`] = x;
  });
  x = taps['encoder.mid_block'] = midBlock(encoder.child('mid_block'), x, config);
  x = conv2d(
    encoder.child('conv_out'),
    silu(groupNorm(encoder.child('conv_norm_out'), x, groups, EPS)),
    2 * latentChannels,
  );
  const moments = config.useQuantConv ? conv2d(scope.child('quant_conv'), x, 2 * latentChannels, { kernel: 1 }) : x;
  return {
    mean: narrow(moments, 1, 0, latentChannels),
    logvar: minimum(maximum(narrow(moments, 1, latentChannels, 2 * latentChannels), LOGVAR_MIN), LOGVAR_MAX),
  };
}

/** latents [B, latent_channels, h, w], already divided by the scaling factor -> [B, 3, H, W], about [-1, 1] */
export function vaeDecode(scope: Scope, latents: Tensor, config: VaeConfig, taps: Record<string, Tensor> = {}): Tensor {
  const { normGroups: groups } = config,
    decoder = scope.child('decoder');
  const channels = [...config.blockOutChannels].reverse();
  const z = config.usePostQuantConv
    ? conv2d(scope.child('post_quant_conv'), latents, config.latentChannels, { kernel: 1 })
    : latents;
  let x = (taps['decoder.conv_in'] = conv2d(decoder.child('conv_in'), z, channels[0]));
  x = taps['decoder.mid_block'] = midBlock(decoder.child('mid_block'), x, config);
  channels.forEach((out, i) => {
    const block = decoder.child('up_blocks', i);
    for (let j = 0; j <= config.layersPerBlock; j++)
      x = resnet(block.child('resnets', j), x, undefined, out, groups, EPS);
    if (i < channels.length - 1) x = upsample(block.child('upsamplers', 0), x);
    taps[`decoder.up_blocks.${i}`] = x;
  });
  return conv2d(
    decoder.child('conv_out'),
    silu(groupNorm(decoder.child('conv_norm_out'), x, groups, EPS)),
    config.outChannels,
  );
}

function midBlock(scope: Scope, x: Tensor, { normGroups: groups, midAttention }: VaeConfig): Tensor {
  const C = x.shape[1];
  const y = resnet(scope.child('resnets', 0), x, undefined, C, groups, EPS);
  const z = midAttention ? pixelAttention(scope.child('attentions', 0), y, groups) : y;
  return resnet(scope.child('resnets', 1), z, undefined, C, groups, EPS);
}

/** One head over all pixels. */
function pixelAttention(scope: Scope, x: Tensor, groups: number): Tensor {
  const [B, C, h, w] = x.shape;
  const tokens = transpose(reshape(groupNorm(scope.child('group_norm'), x, groups, EPS), [B, C, h * w]), [0, 2, 1]);
  const project = (name: string): Tensor => linear(scope.child(name), tokens, C);
  const y = linear(
    scope.child('to_out', 0),
    attention(project('to_q'), project('to_k'), project('to_v'), 1, C ** -0.5),
    C,
  );
  return add(x, reshape(transpose(y, [0, 2, 1]), [B, C, h, w]));
}
