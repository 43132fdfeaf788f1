/** UNet2DConditionModel of Stable Diffusion 1.x and 2.x and of its block-removed students (diffusers unet_2d_condition.py). */
import { concat, recompute, silu } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import { conv2d } from './layers/conv.js';
import { groupNorm } from './layers/norm.js';
import { downsample, resnet, upsample } from './layers/resnet.js';
import type { Scope } from './layers/scope.js';
import { timestepMlp, timestepSinusoid } from './layers/timestep-embedding.js';
import { transformer2d } from './layers/transformer.js';
import type { UNetConfig } from './unet-config.js';

export interface UNetInputs {
  /** [B, in_channels, h, w] noisy latents */
  readonly sample: Tensor;
  /** [B] float32, 0 to num_train_timesteps - 1 */
  readonly timesteps: Tensor;
  /** [B, T, cross_attention_dim] */
  readonly encoderHiddenStates: Tensor;
}

export interface UNetOutputs {
  /** [B, out_channels, h, w]: predicted noise or velocity */
  readonly out: Tensor;
  /** Hidden states by module: `conv_in`, `down_blocks.0` (after its downsampler), `down_blocks.0.residual1`, `mid_block`, ... */
  readonly taps: Readonly<Record<string, Tensor>>;
}

export interface UNetOptions {
  /** The gradient keeps what goes into residual blocks, transformers and samplers, and computes again what is inside. */
  readonly checkpointing?: boolean;
}

export function unet(
  scope: Scope,
  { sample, timesteps, encoderHiddenStates }: UNetInputs,
  config: UNetConfig,
  { checkpointing = false }: UNetOptions = {},
): UNetOutputs {
  const { blockOutChannels: channels, normGroups, normEps } = config;
  const taps: Record<string, Tensor> = {};
  const sinusoid = timestepSinusoid(timesteps, channels[0], config.flipSinToCos, config.freqShift);
  const embedding = timestepMlp(scope.child('time_embedding'), sinusoid, config.timeEmbedDim);
  taps['time_embedding'] = embedding;
  const temb = silu(embedding);
  const from = (inputs: readonly Tensor[], y: Tensor): Tensor => (checkpointing ? recompute(y, inputs) : y);
  const residual = (at: Scope, x: Tensor, out: number, skip?: Tensor): Tensor =>
    from(skip ? [x, skip] : [x], resnet(at, skip ? concat([x, skip], 1) : x, temb, out, normGroups, normEps));
  const layer = (
    block: Scope,
    j: number,
    x: Tensor,
    out: number,
    stage: number,
    attends: boolean,
    skip?: Tensor,
  ): Tensor => {
    const y = residual(block.child('resnets', j), x, out, skip);
    if (!attends) return y;
    return from(
      [y],
      transformer2d(block.child('attentions', j), y, encoderHiddenStates, {
        heads: config.heads[stage],
        layers: config.transformerLayers[stage],
        normGroups,
        useLinearProjection: config.useLinearProjection,
      }),
    );
  };

  let x = conv2d(scope.child('conv_in'), sample, channels[0]);
  taps['conv_in'] = x;
  const skips = [x];
  channels.forEach((out, i) => {
    const name = `down_blocks.${i}`,
      block = scope.child('down_blocks', i);
    const residuals: Tensor[] = [];
    for (let j = 0; j < config.layersPerBlock[i]; j++)
      residuals.push((x = layer(block, j, x, out, i, config.downAttention[i])));
    if (i < channels.length - 1)
      residuals.push((x = from([x], downsample(block.child('downsamplers', 0), x, config.downsamplePadding))));
    residuals.forEach((r, j) => (taps[`${name}.residual${j}`] = r));
    taps[name] = x;
    skips.push(...residuals);
  });

  const deepest = channels.length - 1;
  if (config.hasMidBlock) {
    const block = scope.child('mid_block');
    x = layer(block, 0, x, channels[deepest], deepest, true);
    x = residual(block.child('resnets', 1), x, channels[deepest]);
    taps['mid_block'] = x;
  }

  channels.forEach((_, i) => {
    const stage = deepest - i,
      block = scope.child('up_blocks', i);
    for (let j = 0; j <= config.layersPerBlock[stage]; j++)
      x = layer(block, j, x, channels[stage], stage, config.upAttention[i], skips.pop());
    if (i < deepest) {
      const [, , h, w] = skips[skips.length - 1].shape;
      x = from([x], upsample(block.child('upsamplers', 0), x, [h, w]));
    }
    taps[`up_blocks.${i}`] = x;
  });
  const out = from(
    [x],
    conv2d(
      scope.child('conv_out'),
      silu(groupNorm(scope.child('conv_norm_out'), x, normGroups, normEps)),
      config.outChannels,
    ),
  );
  return { out, taps };
}
