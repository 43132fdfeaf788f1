/** Complete pipeline folders with random weights, for tests, for measuring, and for a first look: same seed, same bytes. */
import { configJson } from '../formats/config-json.js';
import { cp, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.js';
import { writeFolderAtomic } from '../base/atomic-folder.js';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { Rng } from '../base/rng.js';
import { float32, sizeOf, type DType, type HostTensor, type Shape } from '../tensor/host.js';
import { parseClipTextConfig } from '../networks/clip-text.js';
import type { RawConfig } from '../networks/component-config.js';
import { partFolders } from '../formats/pipeline/part-folders.js';
import { openPipeline } from '../formats/pipeline/pipeline-folder.js';
import { readJson } from '../formats/read-json.js';
import { recorded, recordText, recordUnet, recordVae } from '../networks/record.js';
import { copyTokenizer, smallTokenizer, writeTokenizer } from '../formats/tokenizers/small-tokenizer.js';
import { parseUNetConfig } from '../networks/unet-config.js';
import { parseVaeConfig } from '../networks/vae-config.js';
import { fromFloat32 } from '../formats/float-formats.js';
import { openWeights } from '../formats/open-weights.js';
import { writeSafetensorsStream } from '../formats/safetensors/safetensors.js';
import { writeAs } from '../formats/safetensors/write-as.js';

export interface Layout {
  readonly unet: RawConfig;
  readonly vae: RawConfig;
  readonly text: RawConfig;
  /** Stable Diffusion 1.x's PNDMScheduler by default. */
  readonly scheduler?: RawConfig;
}

const CROSS_DOWN = 'CrossAttnDownBlock2D',
  CROSS_UP = 'CrossAttnUpBlock2D';
/** Stable Diffusion 1.x (v1-inference.yaml), four stages, attention in all but the deepest. */
const FOUR_STAGES = {
  down_block_types: [CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, 'DownBlock2D'],
  up_block_types: ['UpBlock2D', CROSS_UP, CROSS_UP, CROSS_UP],
};
const THREE_STAGES = {
  down_block_types: [CROSS_DOWN, CROSS_DOWN, CROSS_DOWN],
  up_block_types: [CROSS_UP, CROSS_UP, CROSS_UP],
};
const MID = { mid_block_type: 'UNetMidBlock2DCrossAttn' };
const full = (unet: RawConfig): Layout => ({
  unet: {
    block_out_channels: [320, 640, 1280, 1280],
    layers_per_block: 1,
    cross_attention_dim: 768,
    sample_size: 64,
    norm_num_groups: 32,
    ...unet,
  },
  vae: { block_out_channels: [128, 256, 512, 512], layers_per_block: 2, norm_num_groups: 32, sample_size: 512 },
  text: {
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    vocab_size: 49408,
  },
});

const toy = (layersPerBlock: number): Layout => ({
  unet: {
    ...FOUR_STAGES,
    ...MID,
    block_out_channels: [16, 32, 32, 32],
    layers_per_block: layersPerBlock,
    cross_attention_dim: 32,
    sample_size: 8,
    norm_num_groups: 8,
  },
  vae: { block_out_channels: [8, 16, 16, 16], layers_per_block: 1, norm_num_groups: 4, sample_size: 64 },
  text: { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, vocab_size: 1024 },
});

/** The steps of noise of Stable Diffusion 1.x. */
const NOISE = {
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  num_train_timesteps: 1000,
  set_alpha_to_one: false,
};
/** Layouts by name. Block removal: Kim et al., arXiv 2305.15798, figure 3 and table 1; segmind's small-sd is the paper's Base. */
export const LAYOUTS: Readonly<Record<string, Layout>> = {
  sd15: full({ ...FOUR_STAGES, ...MID, layers_per_block: 2 }),
  small: full({ ...FOUR_STAGES, ...MID }),
  bk_small: full({ ...FOUR_STAGES, mid_block_type: null }),
  tiny: full({ ...THREE_STAGES, mid_block_type: null, block_out_channels: [320, 640, 1280] }),
  'tiny-random': toy(1),
  // two layers per block, so that blocks can be removed
  'tiny-random-teacher': toy(2),
  // for pictures of 64 px: SD 1.x's topology, four pixels a latent, texts of up to 32 tokens
  toyland: {
    unet: {
      ...FOUR_STAGES,
      ...MID,
      block_out_channels: [48, 40, 40, 40],
      layers_per_block: 2,
      cross_attention_dim: 96,
      attention_head_dim: 4,
      sample_size: 16,
      norm_num_groups: 8,
    },
    vae: { block_out_channels: [24, 48, 64], layers_per_block: 1, norm_num_groups: 8, sample_size: 64 },
    text: {
      hidden_size: 96,
      intermediate_size: 384,
      num_hidden_layers: 4,
      num_attention_heads: 4,
      vocab_size: 2048,
      max_position_embeddings: 32,
    },
    // Lin et al., arXiv 2305.08891: the last timestep is noise alone, and sampling starts there
    scheduler: {
      _class_name: 'DDIMScheduler',
      ...NOISE,
      steps_offset: 1,
      clip_sample: false,
      prediction_type: 'v_prediction',
      rescale_betas_zero_snr: true,
      timestep_spacing: 'trailing',
    },
  },
};

const PNDM: RawConfig = {
  _class_name: 'PNDMScheduler',
  ...NOISE,
  skip_prk_steps: true,
  steps_offset: 1,
  clip_sample: false,
  prediction_type: 'epsilon',
};
const indexOf = (scheduler: RawConfig): object => ({
  _class_name: 'StableDiffusionPipeline',
  scheduler: ['diffusers', scheduler['_class_name']],
  text_encoder: ['transformers', 'CLIPTextModel'],
  tokenizer: ['transformers', 'CLIPTokenizer'],
  unet: ['diffusers', 'UNet2DConditionModel'],
  vae: ['diffusers', 'AutoencoderKL'],
  safety_checker: [null, null],
  feature_extractor: [null, null],
  requires_safety_checker: false,
});

export interface RandomModelOptions {
  readonly dtype: DType;
  readonly seed: number;
  /** Words that become single tokens; without a text encoder of its own. */
  readonly words?: readonly string[];
  /** Pipeline or checkpoint whose `vae/` is copied. */
  readonly vae?: string;
  /** CLIP checkpoint (transformers' CLIPModel, with its tokenizer) whose text side is copied. */
  readonly clip?: string;
  /** Is told each file. */
  readonly report?: (file: string) => void;
  /** Sees how far each file of weights is. */
  readonly log?: Logger;
}

/**
 * Writes a pipeline folder that diffusers can open too, one tensor in memory at a time; whole or not at all.
 * @throws UserError when `out` has content, or the given parts do not fit the layout
 */
export async function writeRandomModel(out: string, layout: Layout, options: RandomModelOptions): Promise<void> {
  await writeFolderAtomic(out, async (folder) => {
    await writeInto(folder, layout, options);
    if (options.vae !== undefined || options.clip !== undefined) await openPipeline(folder); // they fit the layout
  });
}

async function writeInto(
  folder: string,
  layout: Layout,
  { dtype, seed, words, vae: givenVae, clip, log, report = () => {} }: RandomModelOptions,
): Promise<void> {
  const unet = {
    _class_name: 'UNet2DConditionModel',
    in_channels: 4,
    out_channels: 4,
    attention_head_dim: 8,
    act_fn: 'silu',
    norm_eps: 1e-5,
    flip_sin_to_cos: true,
    freq_shift: 0,
    downsample_padding: 1,
    center_input_sample: false,
    mid_block_scale_factor: 1,
    ...layout.unet,
  };
  const json = async (path: string, value: object): Promise<void> => {
    report(path);
    await writeFileAtomic(join(folder, path), configJson(value));
  };
  const rng = new Rng(seed);
  const weights = async (path: string, shapes: ReadonlyMap<string, Shape>): Promise<void> => {
    report(path);
    const specs = [...shapes].map(([name, shape]) => ({ name, dtype, shape }));
    await writeSafetensorsStream(
      join(folder, path),
      specs,
      ({ name, shape }) => fromFloat32(randomParameter(`${path}:${name}`, name, shape, rng), dtype),
      { format: 'pt' },
      log && { log, of: dirname(path) },
    );
  };
  const scheduler = layout.scheduler ?? PNDM;
  await json('model_index.json', indexOf(scheduler));
  await json('scheduler/scheduler_config.json', scheduler);
  await json('unet/config.json', unet);
  await weights(
    'unet/diffusion_pytorch_model.safetensors',
    recorded((s) => recordUnet(s, parseUNetConfig(unet, 'unet/config.json'))),
  );

  if (givenVae !== undefined) {
    report('vae/');
    await copyFolder((await partFolders(givenVae)).of('vae'), join(folder, 'vae'));
  } else {
    const stages = (layout.vae['block_out_channels'] as number[]).length;
    const vae = {
      _class_name: 'AutoencoderKL',
      in_channels: 3,
      out_channels: 3,
      latent_channels: 4,
      act_fn: 'silu',
      scaling_factor: 0.18215,
      down_block_types: Array(stages).fill('DownEncoderBlock2D'),
      up_block_types: Array(stages).fill('UpDecoderBlock2D'),
      ...layout.vae,
    };
    await json('vae/config.json', vae);
    await weights(
      'vae/diffusion_pytorch_model.safetensors',
      recorded((s) => recordVae(s, parseVaeConfig(vae, 'vae/config.json'))),
    );
  }

  if (clip !== undefined) {
    report('text_encoder/');
    await copyTextSide(clip, folder);
  } else {
    const tokenizer = smallTokenizer(words);
    const text: RawConfig = {
      architectures: ['CLIPTextModel'],
      model_type: 'clip_text_model',
      hidden_act: 'quick_gelu',
      max_position_embeddings: 77,
      layer_norm_eps: 1e-5,
      bos_token_id: tokenizer.endId - 1,
      eos_token_id: tokenizer.endId,
      pad_token_id: tokenizer.endId,
      ...layout.text,
    };
    await writeTokenizer(join(folder, 'tokenizer'), tokenizer, text['max_position_embeddings'] as number, (file) =>
      report(`tokenizer/${file}`),
    );
    await json('text_encoder/config.json', text);
    await weights(
      'text_encoder/model.safetensors',
      recorded((s) => recordText(s, parseClipTextConfig(text, 'text_encoder/config.json'))),
    );
  }
}

async function copyFolder(from: string, to: string): Promise<void> {
  await readJson(join(from, 'config.json'), 'every component has one');
  await cp(from, to, { recursive: true, dereference: true });
}

/** CLIPTextModel and tokenizer of a CLIPModel folder: half of its tensors, under the same names. */
async function copyTextSide(clip: string, folder: string): Promise<void> {
  const config = join(clip, 'config.json'),
    raw = await readJson(config, 'a CLIP checkpoint has one');
  if (typeof raw['text_config'] !== 'object')
    throw new UserError(`${config}: no "text_config"; a CLIP checkpoint (model_type "clip") has one`);
  const text = {
    ...(raw['text_config'] as RawConfig),
    architectures: ['CLIPTextModel'],
    model_type: 'clip_text_model',
  };
  await mkdir(join(folder, 'text_encoder'), { recursive: true });
  await writeFileAtomic(join(folder, 'text_encoder', 'config.json'), configJson(text));
  const weights = await openWeights(clip, 'model');
  const specs = [...weights.entries.values()].filter(
    ({ name }) => name.startsWith('text_model.') && !name.endsWith('position_ids'),
  );
  await writeAs(join(folder, 'text_encoder', 'model.safetensors'), { specs, read: (name) => weights.read(name) });
  await copyTokenizer(clip, join(folder, 'tokenizer'));
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
