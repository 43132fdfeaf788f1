/** CLIPs that were never trained: start values, and complete folders of them. Same seed, same bytes. */
import { configJson } from '../formats/config-json.js';
import { join } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.js';
import { writeFolderAtomic } from '../base/atomic-folder.js';
import { Rng } from '../base/rng.js';
import { float32, scalar, sizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import { parseClipConfig, recordClip, type ClipConfig } from '../formats/clip-folder.js';
import { parsePreprocess, preprocessorConfig } from '../formats/picture-preprocess.js';
import type { RawConfig } from '../networks/component-config.js';
import { recorded } from '../networks/record.js';
import { smallTokenizer, writeTokenizer } from '../formats/tokenizers/small-tokenizer.js';
import { writeSafetensors } from '../formats/safetensors/safetensors.js';

/**
 * As transformers initialises a CLIPModel (CLIPPreTrainedModel._init_weights with factor 1): normal, with deviations by role.
 * @param shapes of all parameters @returns by parameter name; each depends on (seed, name) only
 */
export function clipStart(
  shapes: ReadonlyMap<string, Shape>,
  config: ClipConfig,
  rng: Rng,
): Record<string, HostTensor> {
  const values: Record<string, HostTensor> = {};
  for (const [name, shape] of shapes) {
    const size = sizeOf(shape);
    if (name === 'logit_scale') values[name] = scalar(config.logitScaleInit);
    else if (shape.length === 1 && !name.endsWith('class_embedding'))
      values[name] = float32(new Float32Array(size).fill(name.endsWith('.bias') ? 0 : 1), shape);
    else {
      const data = rng.stream(`init ${name}`).normals(size),
        deviation = deviationOf(name, config);
      for (let i = 0; i < size; i++) data[i] *= deviation;
      values[name] = float32(data, shape);
    }
  }
  return values;
}

function deviationOf(name: string, { text, vision }: ClipConfig): number {
  const { hiddenSize: D, layers } = /^(text_model|text_projection)\./.test(name) ? text : vision;
  // What a layer adds to its input shrinks with the number of layers.
  if (/\.(q_proj|k_proj|v_proj|fc2)\./.test(name)) return D ** -0.5 * (2 * layers) ** -0.5;
  if (name.includes('.fc1.')) return (2 * D) ** -0.5;
  if (/\.out_proj\.|_projection\.|class_embedding$/.test(name)) return D ** -0.5;
  return 0.02; // token, position and patch embeddings: initializer_range
}

export interface ClipLayout {
  /** fields of text_config; vocab_size is by default the tokenizer's */
  readonly text: RawConfig;
  /** fields of vision_config */
  readonly vision: RawConfig;
  readonly projection_dim: number;
}

/** Layouts by name. */
export const CLIP_LAYOUTS: Readonly<Record<string, ClipLayout>> = {
  // for pictures of 64 px and texts of up to 32 tokens
  'toyland-clip': {
    text: {
      hidden_size: 96,
      intermediate_size: 384,
      num_hidden_layers: 4,
      num_attention_heads: 4,
      max_position_embeddings: 32,
    },
    vision: {
      image_size: 64,
      patch_size: 8,
      hidden_size: 128,
      intermediate_size: 512,
      num_hidden_layers: 4,
      num_attention_heads: 4,
    },
    projection_dim: 96,
  },
};

/**
 * Writes a CLIPModel folder that transformers can open too, float32; whole or not at all.
 * @param words lower case; each becomes one token
 * @throws UserError when `out` has content
 */
export async function writeRandomClip(
  out: string,
  { text, vision, projection_dim }: ClipLayout,
  words: readonly string[],
  seed: number,
): Promise<void> {
  const tokenizer = smallTokenizer(words),
    { endId } = tokenizer;
  const common = { hidden_act: 'quick_gelu', layer_norm_eps: 1e-5, attention_dropout: 0, projection_dim };
  const raw = {
    architectures: ['CLIPModel'],
    model_type: 'clip',
    projection_dim,
    logit_scale_init_value: 2.6592,
    torch_dtype: 'float32',
    text_config: {
      model_type: 'clip_text_model',
      ...common,
      vocab_size: endId + 1,
      max_position_embeddings: 77,
      bos_token_id: endId - 1,
      eos_token_id: endId,
      pad_token_id: endId,
      ...text,
    },
    vision_config: { model_type: 'clip_vision_model', ...common, num_channels: 3, ...vision },
  };
  const config = parseClipConfig(raw, 'config.json'),
    shapes = recorded((s) => recordClip(s, config));
  await writeFolderAtomic(out, async (folder) => {
    const json = (name: string, value: object): Promise<void> => writeFileAtomic(join(folder, name), configJson(value));
    await json('config.json', raw);
    await json(
      'preprocessor_config.json',
      preprocessorConfig(parsePreprocess({}, config.vision.imageSize, 'preprocessor_config.json')),
    );
    await writeTokenizer(folder, tokenizer, config.text.maxPositions);
    await writeSafetensors(join(folder, 'model.safetensors'), clipStart(shapes, config, new Rng(seed)), {
      format: 'pt',
    });
  });
}
