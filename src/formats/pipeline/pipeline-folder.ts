/** A diffusers pipeline folder (`model_index.json` and one folder per component), opened and checked. */
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { FileError, type UserError } from '../../base/errors.js';
import type { Logger } from '../../base/logger.js';
import { parseClipTextConfig, type ClipTextConfig } from '../../networks/clip-text.js';
import type { RawConfig } from '../../networks/component-config.js';
import { recorded, recordText, recordUnet, recordVae } from '../../networks/record.js';
import { parseUNetConfig, type UNetConfig } from '../../networks/unet-config.js';
import { parseVaeConfig, type VaeConfig } from '../../networks/vae-config.js';
import { fingerprint } from '../fingerprint.js';
import { FrozenSource, olderVaeName } from '../frozen-source.js';
import { openWeights } from '../open-weights.js';
import { readJson } from '../read-json.js';
import type { ClipTokenizer } from '../tokenizers/clip-tokenizer.js';
import { loadTokenizer } from '../tokenizers/load-tokenizer.js';
import { partFolders } from './part-folders.js';

/** A buffer of token positions that older text encoders carry. */
const POSITION_IDS = /(^|\.)position_ids$/;
const NOTHING = /^\b$/;

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
  const parts = await partFolders(path);
  const component = (name: string, library: string): string => {
    const entry = index[name] as [string | null, string | null] | undefined;
    if (!entry?.[1])
      throw new FileError(
        `${join(path, 'model_index.json')}: no "${name}"; a Stable Diffusion pipeline has one (${library})`,
      );
    return parts.of(name);
  };
  const dirs = {
    unet: component('unet', 'UNet2DConditionModel'),
    vae: component('vae', 'AutoencoderKL'),
    text: component('text_encoder', 'CLIPTextModel'),
  };
  const config = async (dir: string): Promise<RawConfig> =>
    readJson(join(dir, 'config.json'), 'every component has one');
  const unetConfig = parseUNetConfig(await config(dirs.unet), join(dirs.unet, 'config.json'));
  const vaeConfig = parseVaeConfig(await config(dirs.vae), join(dirs.vae, 'config.json'));
  const textConfig = parseClipTextConfig(await config(dirs.text), join(dirs.text, 'config.json'));
  const [unetSource, vaeSource, textSource] = [
    new FrozenSource(await openWeights(dirs.unet, 'diffusion_pytorch_model', { log })),
    new FrozenSource(await openWeights(dirs.vae, 'diffusion_pytorch_model', { log }), olderVaeName),
    new FrozenSource(await openWeights(dirs.text, 'model', { log })),
  ];
  unetSource.check(
    recorded((s) => recordUnet(s, unetConfig), unetSource.fits()),
    NOTHING,
    log,
  );
  vaeSource.check(
    recorded((s) => recordVae(s, vaeConfig), vaeSource.fits()),
    NOTHING,
    log,
  );
  textSource.check(
    recorded((s) => recordText(s, textConfig), textSource.fits()),
    POSITION_IDS,
    log,
  );
  const tokenizer = await loadTokenizer(join(path, 'tokenizer'), { vocabSize: textConfig.vocabSize, log });
  checkTogether(path, unetConfig, vaeConfig, textConfig, tokenizer);
  return {
    path,
    unetConfig,
    vaeConfig,
    textConfig,
    tokenizer,
    schedulerConfig: await readJson(
      join(path, 'scheduler', 'scheduler_config.json'),
      'a pipeline names its noise schedule there',
    ),
    unet: unetSource,
    vae: vaeSource,
    text: textSource,
  };
}

/** Components that are each in order may still be of different models. */
function checkTogether(
  path: string,
  unetConfig: UNetConfig,
  vae: VaeConfig,
  text: ClipTextConfig,
  tokenizer: ClipTokenizer,
): void {
  const differ = (what: string): UserError => new FileError(`${path}: ${what}; they are of different models`);
  if (unetConfig.crossAttentionDim !== text.hiddenSize)
    throw differ(
      `the U-Net takes text states of width ${unetConfig.crossAttentionDim}, the text encoder gives ${text.hiddenSize}`,
    );
  const latents = [unetConfig.inChannels, unetConfig.outChannels];
  if (latents.some((c) => c !== vae.latentChannels))
    throw differ(
      `the U-Net takes ${latents[0]} channels and gives ${latents[1]}, the VAE has ${vae.latentChannels} latent channels`,
    );
  if (tokenizer.maxLength > text.maxPositions)
    throw differ(
      `the tokenizer gives ${tokenizer.maxLength} tokens, the text encoder has ${text.maxPositions} positions`,
    );
  const largest = tokenizer.largestMark;
  if (largest >= text.vocabSize)
    throw differ(`the tokenizer gives the id ${largest}, the text encoder knows ${text.vocabSize} tokens`);
}

/** Identifies the three networks of a pipeline together. */
export async function pipelineFingerprint({ unet: u, vae, text }: PipelineFolder): Promise<string> {
  const hash = createHash('sha256');
  for (const { weights } of [u, vae, text]) hash.update(await fingerprint(weights));
  return hash.digest('hex');
}
