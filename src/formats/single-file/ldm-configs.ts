/**
 * Configs of a single-file checkpoint: what shapes tell, and for the rest what the published configs of Stable Diffusion
 * say (CompVis v1-inference.yaml, Stability AI's v2-inference.yaml and v2-inference-v.yaml).
 */
import { FileError, type UserError } from '../../base/errors.js';
import type { RawConfig } from '../../networks/component-config.js';
import type { Shape } from '../../tensor/host.js';
import { PREFIXES } from './ldm-names.js';

export interface LdmConfigs {
  readonly unet: RawConfig;
  readonly vae: RawConfig;
  readonly text_encoder: RawConfig;
  readonly scheduler: RawConfig;
  /** 2.x: OpenCLIP, and its tokenizer pads with "!" */
  readonly openClip: boolean;
  /** values that neither shapes nor published configs tell */
  readonly guesses: readonly string[];
}

export type Shapes = ReadonlyMap<string, Shape>;

/** Group norms of latent-diffusion have 32 groups (`Normalize` in ldm/modules). */
const GROUPS = 32;
/** Of 1.x: `num_heads: 8`; of 2.x and both text encoders: heads of 64 channels. */
const HEADS = 8,
  HEAD_CHANNELS = 64;

class Reader {
  readonly guesses: string[] = [];

  constructor(
    private readonly shapes: Shapes,
    private readonly file: string,
  ) {}

  has = (name: string): boolean => this.shapes.has(name);

  shape(name: string): Shape {
    const shape = this.shapes.get(name);
    if (!shape) throw this.refuse(`no tensor "${name}"`);
    return shape;
  }

  refuse(what: string): UserError {
    return new FileError(
      `${this.file}: ${what}; a whole checkpoint of Stable Diffusion 1.x or 2.x is read, is it another kind of model?`,
    );
  }

  /** Number of the modules `<before>0<after>`, `<before>1<after>`, ... */
  count(before: string, after: string): number {
    let n = 0;
    while (this.has(`${before}${n}${after}`)) n++;
    return n;
  }

  groups(part: string, channels: readonly number[]): number {
    if (channels.every((c) => c % GROUPS === 0)) return GROUPS;
    let groups = 1;
    while (groups * 4 <= channels[0] && channels.every((c) => c % (groups * 2) === 0)) groups *= 2;
    return this.guess(`${part}: norm_num_groups ${groups}`, groups);
  }

  guess<T>(what: string, value: T): T {
    this.guesses.push(what);
    return value;
  }
}

/**
 * @param predictsV whether the U-Net of a 2.x checkpoint was trained to predict v
 * @throws UserError when it is no checkpoint of Stable Diffusion 1.x or 2.x
 */
export function inferConfigs(shapes: Shapes, file: string, predictsV: boolean): LdmConfigs {
  const read = new Reader(shapes, file),
    openClip = read.has(`${PREFIXES.openClip}token_embedding.weight`);
  const unet = inferUnet(read, openClip, predictsV);
  return {
    unet,
    vae: inferVae(read, unet.sample_size as number),
    text_encoder: openClip ? inferOpenClip(read) : inferClip(read),
    scheduler: schedulerConfig(openClip, predictsV),
    openClip,
    guesses: read.guesses,
  };
}

function inferUnet(read: Reader, openClip: boolean, predictsV: boolean): RawConfig {
  const p = PREFIXES.unet;
  const [model, inChannels] = read.shape(`${p}input_blocks.0.0.weight`);
  const channels: number[] = [],
    layers: number[] = [],
    depths: number[] = [],
    attends: boolean[] = [];
  let stage = 0;
  for (
    let k = 1;
    read.has(`${p}input_blocks.${k}.0.in_layers.2.weight`) || read.has(`${p}input_blocks.${k}.0.op.weight`);
    k++
  ) {
    if (read.has(`${p}input_blocks.${k}.0.op.weight`)) {
      stage++;
      continue;
    }
    channels[stage] = read.shape(`${p}input_blocks.${k}.0.in_layers.2.weight`)[0];
    layers[stage] = (layers[stage] ?? 0) + 1;
    attends[stage] = read.has(`${p}input_blocks.${k}.1.norm.weight`);
    depths[stage] = Math.max(1, read.count(`${p}input_blocks.${k}.1.transformer_blocks.`, '.attn2.to_k.weight'));
  }
  const hasMid = read.has(`${p}middle_block.0.in_layers.2.weight`);
  const up = channels.map((_, i) => {
    const first = layers.slice(channels.length - i).reduce((n, l) => n + l + 1, 0);
    return read.has(`${p}output_blocks.${first}.1.norm.weight`);
  });
  const attention = attends.indexOf(true);
  if (attention < 0) throw read.refuse('its U-Net reads no text');
  const block = `${p}input_blocks.${1 + layers.slice(0, attention).reduce((n, l) => n + l + 1, 0)}.1.`;
  const linear = read.shape(`${block}proj_in.weight`).length === 2;
  const byChannels = openClip && channels.every((c) => c % HEAD_CHANNELS === 0);
  if (openClip && !byChannels) read.guess(`U-Net: ${HEADS} attention heads`, HEADS);
  const same = <T>(list: readonly T[]): T | readonly T[] => (list.every((v) => v === list[0]) ? list[0] : list);
  return {
    _class_name: 'UNet2DConditionModel',
    act_fn: 'silu',
    attention_head_dim: byChannels ? channels.map((c) => c / HEAD_CHANNELS) : HEADS,
    block_out_channels: channels,
    center_input_sample: false,
    cross_attention_dim: read.shape(`${block}transformer_blocks.0.attn2.to_k.weight`)[1],
    down_block_types: attends.map((a) => (a ? 'CrossAttnDownBlock2D' : 'DownBlock2D')),
    downsample_padding: 1,
    dual_cross_attention: false,
    flip_sin_to_cos: true,
    freq_shift: 0,
    in_channels: inChannels,
    layers_per_block: same(layers),
    mid_block_scale_factor: 1,
    mid_block_type: hasMid ? 'UNetMidBlock2DCrossAttn' : null,
    norm_eps: 1e-5,
    norm_num_groups: read.groups('U-Net', [model, ...channels]),
    only_cross_attention: false,
    out_channels: read.shape(`${p}out.2.weight`)[0],
    sample_size: predictsV ? 96 : 64,
    transformer_layers_per_block: same(depths),
    up_block_types: up.map((a) => (a ? 'CrossAttnUpBlock2D' : 'UpBlock2D')),
    use_linear_projection: linear,
  };
}

function inferVae(read: Reader, latentSide: number): RawConfig {
  const p = PREFIXES.vae;
  const [width, inChannels] = read.shape(`${p}encoder.conv_in.weight`);
  const levels = read.count(`${p}encoder.down.`, '.block.0.conv1.weight');
  const channels = Array.from(
    { length: levels },
    (_, i) => read.shape(`${p}encoder.down.${i}.block.0.conv1.weight`)[0],
  );
  return {
    _class_name: 'AutoencoderKL',
    act_fn: 'silu',
    block_out_channels: channels,
    down_block_types: channels.map(() => 'DownEncoderBlock2D'),
    in_channels: inChannels,
    latent_channels: read.shape(`${p}decoder.conv_in.weight`)[1],
    layers_per_block: read.count(`${p}encoder.down.0.block.`, '.conv1.weight'),
    norm_num_groups: read.groups('VAE', [width, ...channels]),
    out_channels: read.shape(`${p}decoder.conv_out.weight`)[0],
    sample_size: latentSide * 2 ** (levels - 1),
    scaling_factor: 0.18215, // scale_factor of all of 1.x and 2.x
    up_block_types: channels.map(() => 'UpDecoderBlock2D'),
    ...(read.has(`${p}quant_conv.weight`) ? {} : { use_quant_conv: false }),
    ...(read.has(`${p}post_quant_conv.weight`) ? {} : { use_post_quant_conv: false }),
    ...(read.has(`${p}encoder.mid.attn_1.norm.weight`) ? {} : { mid_block_add_attention: false }),
  };
}

const CLIP_COMMON = {
  architectures: ['CLIPTextModel'],
  attention_dropout: 0,
  bos_token_id: 0,
  eos_token_id: 2,
  initializer_factor: 1,
  initializer_range: 0.02,
  layer_norm_eps: 1e-5,
  model_type: 'clip_text_model',
  pad_token_id: 1,
};

function textHeads(read: Reader, width: number): number {
  if (width % HEAD_CHANNELS === 0) return width / HEAD_CHANNELS;
  const heads = [4, 2, 1].find((n) => width % n === 0) as number;
  return read.guess(`text encoder: ${heads} attention heads`, heads);
}

function inferClip(read: Reader): RawConfig {
  const p = `${PREFIXES.clip}text_model.`;
  const [vocab, width] = read.shape(`${p}embeddings.token_embedding.weight`);
  return {
    ...CLIP_COMMON,
    hidden_act: 'quick_gelu',
    hidden_size: width,
    intermediate_size: read.shape(`${p}encoder.layers.0.mlp.fc1.weight`)[0],
    max_position_embeddings: read.shape(`${p}embeddings.position_embedding.weight`)[0],
    num_attention_heads: textHeads(read, width),
    num_hidden_layers: read.count(`${p}encoder.layers.`, '.mlp.fc1.weight'),
    projection_dim: width,
    vocab_size: vocab,
  };
}

/** 2.x takes the states before the last of OpenCLIP's 24 layers. */
const OPEN_CLIP_LAYERS = 24;

function inferOpenClip(read: Reader): RawConfig {
  const p = PREFIXES.openClip;
  const [vocab, width] = read.shape(`${p}token_embedding.weight`);
  const layers = read.count(`${p}transformer.resblocks.`, '.mlp.c_fc.weight');
  return {
    ...CLIP_COMMON,
    hidden_act: 'gelu',
    hidden_size: width,
    intermediate_size: read.shape(`${p}transformer.resblocks.0.mlp.c_fc.weight`)[0],
    max_position_embeddings: read.shape(`${p}positional_embedding`)[0],
    num_attention_heads: textHeads(read, width),
    num_hidden_layers: layers === OPEN_CLIP_LAYERS ? layers - 1 : layers,
    projection_dim: 512,
    vocab_size: vocab,
  };
}

/** As in the pipelines that were published with these checkpoints. */
function schedulerConfig(openClip: boolean, predictsV: boolean): RawConfig {
  const schedule = {
    beta_end: 0.012,
    beta_schedule: 'scaled_linear',
    beta_start: 0.00085,
    clip_sample: false,
    num_train_timesteps: 1000,
    prediction_type: predictsV ? 'v_prediction' : 'epsilon',
    set_alpha_to_one: false,
    steps_offset: 1,
    trained_betas: null,
  };
  return openClip
    ? { _class_name: 'DDIMScheduler', ...schedule }
    : { _class_name: 'PNDMScheduler', ...schedule, skip_prk_steps: true };
}
