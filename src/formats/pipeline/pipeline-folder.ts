/** A diffusers pipeline folder (`model_index.json` and one folder per component), opened and checked. */
import { createHash } from 'node:crypto';
import { open, readFile, type FileHandle } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UserError } from '../../base/errors.js';
import type { Logger } from '../../base/logger.js';
import { input } from '../../tensor/tensor.js';
import { clipText, parseClipTextConfig, type ClipTextConfig } from '../../networks/clip-text.js';
import type { RawConfig } from '../../networks/component-config.js';
import { FrozenSource, olderVaeName } from '../frozen-source.js';
import { RecordingSource, Scope, type ParamSource } from '../../networks/layers/scope.js';
import { ClipTokenizer } from '../tokenizers/clip-tokenizer.js';
import { unet } from '../../networks/unet.js';
import { parseUNetConfig, type UNetConfig } from '../../networks/unet-config.js';
import { vaeDecode, vaeEncode } from '../../networks/vae.js';
import { parseVaeConfig, type VaeConfig } from '../../networks/vae-config.js';
import { openWeights } from '../open-weights.js';
import type { TensorEntry, WeightFile } from '../weight-file.js';

/** A buffer of token positions that older text encoders carry. */
const POSITION_IDS = /(^|\.)position_ids$/;
const NOTHING = /^\b$/;

/** Builds a network's graph once, for nothing but the parameters it asks for. */
export const recordUnet = (source: ParamSource, config: UNetConfig): void => {
  // The deepest stage needs one pixel.
  const side = 2 ** (config.blockOutChannels.length - 1);
  const inputs = { sample: input('sample', [1, config.inChannels, side, side]), timesteps: input('t', [1]), encoderHiddenStates: input('text', [1, 1, config.crossAttentionDim]) };
  unet(new Scope(source), inputs, config);
};
export const recordText = (source: ParamSource, config: ClipTextConfig): void =>
  void clipText(new Scope(source), input('ids', [1, config.maxPositions], 'int32'), config);
export const recordVae = (source: ParamSource, config: VaeConfig): void => {
  const side = 2 ** (config.blockOutChannels.length - 1);
  vaeEncode(new Scope(source), input('image', [1, config.inChannels, side, side]), config);
  vaeDecode(new Scope(source), input('latents', [1, config.latentChannels, 1, 1]), config);
};

/** Names and shapes of all parameters, in the order the graph asks for them. */
export function recorded(record: (source: ParamSource) => void): RecordingSource['shapes'] {
  const source = new RecordingSource();
  record(source);
  return source.shapes;
}

export interface PipelineFolder {
  readonly path: string;
  readonly unetConfig: UNetConfig;
  readonly vaeConfig: VaeConfig;
  readonly textConfig: ClipTextConfig;
  readonly schedulerConfig: RawConfig;
  readonly tokenizer: ClipTokenizer;
  readonly unet: FrozenSource;
  readonly vae: FrozenSource;
  readonly text: FrozenSource;
}

/**
 * Opens configs, tokenizer and weights, and checks every tensor's name and shape against the configs.
 * @throws UserError naming the file and what is wrong with it
 */
export async function openPipeline(folder: string, log?: Logger): Promise<PipelineFolder> {
  const path = resolve(folder);
  const index = await readJson(join(path, 'model_index.json'), 'a diffusers pipeline folder has one');
  const component = async (name: string, library: string): Promise<string> => {
    const entry = index[name] as [string | null, string | null] | undefined;
    if (!entry?.[1]) throw new UserError(`${join(path, 'model_index.json')}: no "${name}"; a Stable Diffusion pipeline has one (${library})`);
    return join(path, name);
  };
  const dirs = { unet: await component('unet', 'UNet2DConditionModel'), vae: await component('vae', 'AutoencoderKL'), text: await component('text_encoder', 'CLIPTextModel') };
  const config = async (dir: string): Promise<RawConfig> => readJson(join(dir, 'config.json'), 'every component has one');
  const unetConfig = parseUNetConfig(await config(dirs.unet), join(dirs.unet, 'config.json'));
  const vaeConfig = parseVaeConfig(await config(dirs.vae), join(dirs.vae, 'config.json'));
  const textConfig = parseClipTextConfig(await config(dirs.text), join(dirs.text, 'config.json'));
  const [unetSource, vaeSource, textSource] = [
    new FrozenSource(await openWeights(dirs.unet, 'diffusion_pytorch_model', { log })),
    new FrozenSource(await openWeights(dirs.vae, 'diffusion_pytorch_model', { log }), olderVaeName),
    new FrozenSource(await openWeights(dirs.text, 'model', { log })),
  ];
  unetSource.check(recorded((s) => recordUnet(s, unetConfig)), NOTHING);
  vaeSource.check(recorded((s) => recordVae(s, vaeConfig)), NOTHING);
  textSource.check(recorded((s) => recordText(s, textConfig)), POSITION_IDS);
  const tokenizer = await ClipTokenizer.load(join(path, 'tokenizer'));
  checkTogether(path, unetConfig, vaeConfig, textConfig, tokenizer);
  return {
    path, unetConfig, vaeConfig, textConfig, tokenizer,
    schedulerConfig: await readJson(join(path, 'scheduler', 'scheduler_config.json'), 'a pipeline names its noise schedule there'),
    unet: unetSource, vae: vaeSource, text: textSource,
  };
}

/** Components that are each in order may still be of different models. */
function checkTogether(path: string, unetConfig: UNetConfig, vae: VaeConfig, text: ClipTextConfig, tokenizer: ClipTokenizer): void {
  const differ = (what: string): UserError => new UserError(`${path}: ${what}; they are of different models`);
  if (unetConfig.crossAttentionDim !== text.hiddenSize) throw differ(`the U-Net takes text states of width ${unetConfig.crossAttentionDim}, the text encoder gives ${text.hiddenSize}`);
  const latents = [unetConfig.inChannels, unetConfig.outChannels];
  if (latents.some((c) => c !== vae.latentChannels)) throw differ(`the U-Net takes ${latents[0]} channels and gives ${latents[1]}, the VAE has ${vae.latentChannels} latent channels`);
  if (tokenizer.maxLength > text.maxPositions) throw differ(`the tokenizer gives ${tokenizer.maxLength} tokens, the text encoder has ${text.maxPositions} positions`);
  // In CLIP's vocabulary the end token has the largest id.
  const largest = Math.max(...tokenizer.encode('').ids);
  if (largest >= text.vocabSize) throw differ(`the tokenizer gives the id ${largest}, the text encoder knows ${text.vocabSize} tokens`);
}

/** @throws UserError when the file is missing or is not a JSON object */
export async function readJson(file: string, why: string): Promise<RawConfig> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${file}: ${error.code === 'ENOENT' ? 'missing' : `cannot be read (${error.code})`}; ${why}`, { cause: error });
  });
  let value: unknown;
  try {
    // Python writes what JSON lacks, e.g. `"lambda_min_clipped": -Infinity` of DPM-Solver.
    value = JSON.parse(text.replace(/(:\s*)(-?Infinity|NaN)(?=\s*[,}])/g, '$1null'));
  } catch (error) {
    throw new UserError(`${file}: not JSON (${(error as Error).message}); download it again`, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new UserError(`${file}: not a JSON object; download it again`);
  return value as RawConfig;
}

/** Bytes hashed at the start and at the end of each tensor: the 686 tensors of SD 1.5's U-Net cost some 40 ms, whatever their size. */
const PROBE_BYTES = 4096;

/**
 * Identifies the weights of a component: sha256 over every tensor's name, dtype, shape, first and last 4 kB. Training,
 * merging an adapter and converting change whole tensors, so they change it; how tensors are spread over files, and
 * the files' metadata, do not. Single values changed in the middle of a tensor can escape.
 */
export async function fingerprint({ entries }: WeightFile): Promise<string> {
  const hash = createHash('sha256'), handles = new Map<string, FileHandle>(), buffer = Buffer.alloc(PROBE_BYTES);
  try {
    for (const name of [...entries.keys()].sort()) {
      const { dtype, shape, file, offset, bytes } = entries.get(name) as TensorEntry;
      hash.update(`${name}:${dtype}[${shape}]\n`);
      const handle = handles.get(file) ?? await open(file);
      handles.set(file, handle);
      const length = Math.min(PROBE_BYTES, bytes);
      for (const at of bytes > length ? [0, bytes - length] : [0]) {
        const { bytesRead } = await handle.read(buffer, 0, length, offset + at);
        hash.update(buffer.subarray(0, bytesRead));
      }
    }
  } finally {
    for (const handle of handles.values()) await handle.close();
  }
  return hash.digest('hex');
}

/** Identifies the three networks of a pipeline together. */
export async function pipelineFingerprint({ unet: u, vae, text }: PipelineFolder): Promise<string> {
  const hash = createHash('sha256');
  for (const { weights } of [u, vae, text]) hash.update(await fingerprint(weights));
  return hash.digest('hex');
}
