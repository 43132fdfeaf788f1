/** Complete pipeline folders with random weights, for tests, for measuring, and for a first look: same seed, same bytes. */
import { join } from 'node:path';
import { writeFileAtomic } from '../atomic-file.js';
import { writeFolderAtomic } from '../atomic-folder.js';
import { Rng } from '../random/rng.js';
import { float32, sizeOf, type DType, type HostTensor, type Shape } from '../tensor/host.js';
import { parseClipTextConfig } from './clip-text.js';
import { recorded, recordText, recordUnet, recordVae } from './pipeline-folder.js';
import { smallTokenizer } from './small-tokenizer.js';
import { parseUNetConfig } from './unet-config.js';
import { parseVaeConfig } from './vae-config.js';
import { fromFloat32 } from './weights/convert.js';
import { writeSafetensorsStream } from './weights/safetensors.js';

interface Layout { readonly unet: Record<string, unknown>; readonly vae: Record<string, unknown>; readonly text: Record<string, unknown> }

const CROSS_DOWN = 'CrossAttnDownBlock2D', CROSS_UP = 'CrossAttnUpBlock2D';
/** Stable Diffusion 1.x (v1-inference.yaml), four stages, attention in all but the deepest. */
const FOUR_STAGES = { down_block_types: [CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, 'DownBlock2D'], up_block_types: ['UpBlock2D', CROSS_UP, CROSS_UP, CROSS_UP] };
const THREE_STAGES = { down_block_types: [CROSS_DOWN, CROSS_DOWN, CROSS_DOWN], up_block_types: [CROSS_UP, CROSS_UP, CROSS_UP] };
const MID = { mid_block_type: 'UNetMidBlock2DCrossAttn' };
const full = (unet: Record<string, unknown>): Layout => ({
  unet: { block_out_channels: [320, 640, 1280, 1280], layers_per_block: 1, cross_attention_dim: 768, sample_size: 64, norm_num_groups: 32, ...unet },
  vae: { block_out_channels: [128, 256, 512, 512], layers_per_block: 2, norm_num_groups: 32, sample_size: 512 },
  text: { hidden_size: 768, intermediate_size: 3072, num_hidden_layers: 12, num_attention_heads: 12, vocab_size: 49408 },
});

const toy = (layersPerBlock: number): Layout => ({
  unet: { ...FOUR_STAGES, ...MID, block_out_channels: [16, 32, 32, 32], layers_per_block: layersPerBlock, cross_attention_dim: 32, sample_size: 8, norm_num_groups: 8 },
  vae: { block_out_channels: [8, 16, 16, 16], layers_per_block: 1, norm_num_groups: 4, sample_size: 64 },
  text: { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, vocab_size: 1024 },
});

/** Layouts by name. Block removal: Kim et al., arXiv 2305.15798, figure 3 and table 1; segmind's small-sd is the paper's Base. */
export const LAYOUTS: Readonly<Record<string, Layout>> = {
  sd15: full({ ...FOUR_STAGES, ...MID, layers_per_block: 2 }),
  small: full({ ...FOUR_STAGES, ...MID }),
  bk_small: full({ ...FOUR_STAGES, mid_block_type: null }),
  tiny: full({ ...THREE_STAGES, mid_block_type: null, block_out_channels: [320, 640, 1280] }),
  'tiny-random': toy(1),
  // two layers per block, so that blocks can be removed
  'tiny-random-teacher': toy(2),
};

const SCHEDULER = {
  _class_name: 'PNDMScheduler', beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear', num_train_timesteps: 1000,
  set_alpha_to_one: false, skip_prk_steps: true, steps_offset: 1, clip_sample: false, prediction_type: 'epsilon',
};
const INDEX = {
  _class_name: 'StableDiffusionPipeline', scheduler: ['diffusers', 'PNDMScheduler'], text_encoder: ['transformers', 'CLIPTextModel'],
  tokenizer: ['transformers', 'CLIPTokenizer'], unet: ['diffusers', 'UNet2DConditionModel'], vae: ['diffusers', 'AutoencoderKL'],
  safety_checker: [null, null], feature_extractor: [null, null], requires_safety_checker: false,
};

/**
 * Writes a pipeline folder that diffusers can open too, one tensor in memory at a time; whole or not at all.
 * @param report is told each file  @throws UserError when `out` has content
 */
export const writeRandomModel = (out: string, layout: Layout, dtype: DType, seed: number, report: (file: string) => void = () => {}): Promise<void> =>
  writeFolderAtomic(out, (folder) => writeInto(folder, layout, dtype, seed, report));

async function writeInto(folder: string, layout: Layout, dtype: DType, seed: number, report: (file: string) => void): Promise<void> {
  const { vocab, merges, endId } = smallTokenizer();
  const unet = { _class_name: 'UNet2DConditionModel', in_channels: 4, out_channels: 4, attention_head_dim: 8, act_fn: 'silu', norm_eps: 1e-5, flip_sin_to_cos: true, freq_shift: 0, downsample_padding: 1, center_input_sample: false, mid_block_scale_factor: 1, ...layout.unet };
  const stages = (layout.vae['block_out_channels'] as number[]).length;
  const vae = {
    _class_name: 'AutoencoderKL', in_channels: 3, out_channels: 3, latent_channels: 4, act_fn: 'silu', scaling_factor: 0.18215,
    down_block_types: Array(stages).fill('DownEncoderBlock2D'), up_block_types: Array(stages).fill('UpDecoderBlock2D'), ...layout.vae,
  };
  const text = {
    architectures: ['CLIPTextModel'], model_type: 'clip_text_model', hidden_act: 'quick_gelu', max_position_embeddings: 77, layer_norm_eps: 1e-5,
    bos_token_id: endId - 1, eos_token_id: endId, pad_token_id: endId, ...layout.text,
  };
  const json = async (path: string, value: object): Promise<void> => {
    report(path);
    await writeFileAtomic(join(folder, path), `${JSON.stringify(value, null, 2)}\n`);
  };
  await json('model_index.json', INDEX);
  await json('scheduler/scheduler_config.json', SCHEDULER);
  await json('tokenizer/vocab.json', vocab);
  await writeFileAtomic(join(folder, 'tokenizer/merges.txt'), `#version: 0.2\n${merges.join('\n')}\n`);
  await json('tokenizer/tokenizer_config.json', { tokenizer_class: 'CLIPTokenizer', model_max_length: 77, bos_token: '<|startoftext|>', eos_token: '<|endoftext|>', pad_token: '<|endoftext|>', unk_token: '<|endoftext|>' });
  await json('tokenizer/special_tokens_map.json', { bos_token: '<|startoftext|>', eos_token: '<|endoftext|>', pad_token: '<|endoftext|>', unk_token: '<|endoftext|>' });
  await json('unet/config.json', unet);
  await json('vae/config.json', vae);
  await json('text_encoder/config.json', text);

  const rng = new Rng(seed);
  const weights = async (path: string, shapes: ReadonlyMap<string, Shape>): Promise<void> => {
    report(path);
    const specs = [...shapes].map(([name, shape]) => ({ name, dtype, shape }));
    await writeSafetensorsStream(join(folder, path), specs, ({ name, shape }) => fromFloat32(randomParameter(`${path}:${name}`, name, shape, rng), dtype), { format: 'pt' });
  };
  await weights('unet/diffusion_pytorch_model.safetensors', recorded((s) => recordUnet(s, parseUNetConfig(unet, 'unet/config.json'))));
  await weights('vae/diffusion_pytorch_model.safetensors', recorded((s) => recordVae(s, parseVaeConfig(vae, 'vae/config.json'))));
  await weights('text_encoder/model.safetensors', recorded((s) => recordText(s, parseClipTextConfig(text, 'text_encoder/config.json'))));
}

/** Norm scales 1, biases 0, matrices normal with deviation 1/sqrt(fan in), so that activations keep their size. */
function randomParameter(stream: string, name: string, shape: Shape, rng: Rng): HostTensor {
  const size = sizeOf(shape);
  if (shape.length === 1) return float32(new Float32Array(size).fill(name.endsWith('.bias') ? 0 : 1), shape);
  const deviation = name.includes('embedding.weight') ? 0.1 : 1 / Math.sqrt(size / shape[0]);
  const values = rng.stream(stream).normals(size);
  for (let i = 0; i < size; i++) values[i] *= deviation;
  return float32(values, shape);
}
