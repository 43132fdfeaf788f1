/**
 * Names of tensors in single-file checkpoints of Stable Diffusion 1.x and 2.x (CompVis latent-diffusion; ldm/modules,
 * openaimodel.py and model.py; OpenCLIP's transformer.py for 2.x), by the names of diffusers and transformers.
 */
import type { UNetConfig } from '../../networks/unet-config.js';
import type { VaeConfig } from '../../networks/vae-config.js';

export type Part = 'unet' | 'vae' | 'text_encoder';
export const PREFIXES = {
  unet: 'model.diffusion_model.',
  vae: 'first_stage_model.',
  /** transformers' CLIP, of 1.x */
  clip: 'cond_stage_model.transformer.',
  /** OpenCLIP, of 2.x */
  openClip: 'cond_stage_model.model.',
} as const;

type Renames = readonly (readonly [string, string])[];

const UNET_ENDS: Renames = [
  ['time_embedding.linear_1', 'time_embed.0'],
  ['time_embedding.linear_2', 'time_embed.2'],
  ['conv_in', 'input_blocks.0.0'],
  ['conv_norm_out', 'out.0'],
  ['conv_out', 'out.2'],
];
const RESNET: Renames = [
  ['norm1', 'in_layers.0'],
  ['conv1', 'in_layers.2'],
  ['norm2', 'out_layers.0'],
  ['conv2', 'out_layers.3'],
  ['time_emb_proj', 'emb_layers.1'],
  ['conv_shortcut', 'skip_connection'],
];

/** Blocks of a U-Net: the module of diffusers, and its place in the checkpoint. */
function unetBlocks(config: Pick<UNetConfig, 'layersPerBlock' | 'upAttention'>): Map<string, string> {
  const blocks = new Map<string, string>(),
    stages = config.layersPerBlock.length;
  let at = 1;
  for (let i = 0; i < stages; i++) {
    for (let j = 0; j < config.layersPerBlock[i]; j++, at++) {
      blocks.set(`down_blocks.${i}.resnets.${j}`, `input_blocks.${at}.0`);
      blocks.set(`down_blocks.${i}.attentions.${j}`, `input_blocks.${at}.1`);
    }
    if (i < stages - 1) blocks.set(`down_blocks.${i}.downsamplers.0.conv`, `input_blocks.${at++}.0.op`);
  }
  at = 0;
  for (let i = 0; i < stages; i++) {
    const layers = config.layersPerBlock[stages - 1 - i] + 1;
    for (let j = 0; j < layers; j++, at++) {
      blocks.set(`up_blocks.${i}.resnets.${j}`, `output_blocks.${at}.0`);
      blocks.set(`up_blocks.${i}.attentions.${j}`, `output_blocks.${at}.1`);
    }
    // The upsampler is the last module of the stage's last block.
    blocks.set(`up_blocks.${i}.upsamplers.0.conv`, `output_blocks.${at - 1}.${config.upAttention[i] ? 2 : 1}.conv`);
  }
  blocks.set('mid_block.resnets.0', 'middle_block.0');
  blocks.set('mid_block.attentions.0', 'middle_block.1');
  blocks.set('mid_block.resnets.1', 'middle_block.2');
  return blocks;
}

/** @returns the checkpoint's name of a U-Net tensor of diffusers */
export function unetNames(config: Pick<UNetConfig, 'layersPerBlock' | 'upAttention'>): (name: string) => string {
  const blocks = unetBlocks(config);
  return (name) => {
    const end = UNET_ENDS.find(([own]) => name.startsWith(`${own}.`));
    if (end) return PREFIXES.unet + end[1] + name.slice(end[0].length);
    const match = /^((?:down|up)_blocks\.\d+\.\w+\.\d+(?:\.conv(?=\.))?|mid_block\.\w+\.\d+)\.(.*)$/.exec(name);
    const block = match && blocks.get(match[1]);
    if (!match || block === undefined) return PREFIXES.unet + name;
    const inner = match[1].includes('.resnets.') ? RESNET.find(([own]) => match[2].startsWith(`${own}.`)) : undefined;
    return `${PREFIXES.unet}${block}.${inner ? inner[1] + match[2].slice(inner[0].length) : match[2]}`;
  };
}

const VAE_ATTENTION: Renames = [
  ['group_norm', 'norm'],
  ['to_q', 'q'],
  ['to_k', 'k'],
  ['to_v', 'v'],
  ['to_out.0', 'proj_out'],
  // names before diffusers 0.18
  ['query', 'q'],
  ['key', 'k'],
  ['value', 'v'],
  ['proj_attn', 'proj_out'],
];

/** @returns the checkpoint's name of a VAE tensor of diffusers */
export function vaeNames({ blockOutChannels }: Pick<VaeConfig, 'blockOutChannels'>): (name: string) => string {
  const last = blockOutChannels.length - 1;
  return (name) => {
    const attention = /^(.*mid_block\.attentions\.0\.)(.*)\.(weight|bias)$/.exec(name);
    const inner = attention ? VAE_ATTENTION.find(([own]) => own === attention[2])?.[1] : undefined;
    const renamed = attention && inner !== undefined ? `${attention[1]}${inner}.${attention[3]}` : name;
    return (
      PREFIXES.vae +
      renamed
        .replace(/down_blocks\.(\d+)\.resnets\.(\d+)/, 'down.$1.block.$2')
        .replace(/down_blocks\.(\d+)\.downsamplers\.0/, 'down.$1.downsample')
        .replace(/up_blocks\.(\d+)\.resnets\.(\d+)/, (_, i: string, j: string) => `up.${last - Number(i)}.block.${j}`)
        .replace(/up_blocks\.(\d+)\.upsamplers\.0/, (_, i: string) => `up.${last - Number(i)}.upsample`)
        .replace(/mid_block\.resnets\.(\d)/, (_, i: string) => `mid.block_${Number(i) + 1}`)
        .replace('mid_block.attentions.0', 'mid.attn_1')
        .replace('conv_norm_out', 'norm_out')
        .replace('conv_shortcut', 'nin_shortcut')
    );
  };
}

/** Linear layers that the checkpoint's VAE holds as 1x1 convolutions. */
export const isVaeProjection = (name: string): boolean =>
  /mid_block\.attentions\.0\.(?:to_[qkv]|to_out\.0|query|key|value|proj_attn)\.weight$/.test(name);

/** @returns the name in a 1.x checkpoint of a CLIP tensor of transformers (`text_model.` included) */
export const clipName = (name: string): string => PREFIXES.clip + name;

/** Where a tensor of transformers' CLIP is in OpenCLIP: the name, and of the joint projection which third. */
export function openClipName(name: string): { readonly name: string; readonly third?: 0 | 1 | 2 } {
  const ends: Readonly<Record<string, string>> = {
    'text_model.embeddings.token_embedding.weight': 'token_embedding.weight',
    'text_model.embeddings.position_embedding.weight': 'positional_embedding',
    'text_model.final_layer_norm.weight': 'ln_final.weight',
    'text_model.final_layer_norm.bias': 'ln_final.bias',
  };
  if (Object.hasOwn(ends, name)) return { name: PREFIXES.openClip + ends[name] };
  const layer = name
    .replace('text_model.encoder.layers.', 'transformer.resblocks.')
    .replace('.layer_norm', '.ln_')
    .replace('.mlp.fc1.', '.mlp.c_fc.')
    .replace('.mlp.fc2.', '.mlp.c_proj.')
    .replace('.self_attn.', '.attn.');
  const joint = /^(.*\.attn\.)([qkv])_proj\.(weight|bias)$/.exec(layer);
  if (!joint) return { name: PREFIXES.openClip + layer };
  return { name: `${PREFIXES.openClip}${joint[1]}in_proj_${joint[3]}`, third: 'qkv'.indexOf(joint[2]) as 0 | 1 | 2 };
}
