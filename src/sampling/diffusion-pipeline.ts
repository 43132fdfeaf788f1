/**
 * Text to image with a pipeline folder: text encoder, denoising loop with classifier-free guidance (Ho and Salimans,
 * arXiv 2207.12598), image decoder. Training uses the same encoders.
 */
import { createHash } from 'node:crypto';
import { UserError } from '../base/errors.js';
import type { Executor } from '../backends/executor.js';
import { Rng } from '../base/rng.js';
import type { Logger } from '../base/logger.js';
import { floats, float32, int32, scalar, sizeOf, type HostTensor } from '../tensor/host.js';
import { add, concat, div, expand, mean, mul, narrow, sqrt, square, sub } from '../tensor/ops.js';
import { input, type Tensor } from '../tensor/tensor.js';
import { clipText } from '../networks/clip-text.js';
import { Scope, type ParamSource } from '../networks/layers/scope.js';
import { denoise } from './denoise.js';
import { toPixels, unitRange } from './pixels.js';
import { EncodingCache } from './encoding-cache.js';
import type { SampleRequest, WeightSet } from './sample-request.js';
import type { PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { schedulerFile } from './check-drawings.js';
import { schedulerFromConfig } from './schedulers/from-config.js';
import type { Scheduler } from './schedulers/scheduler.js';
import { stableDiffusionDefaults } from './schedulers/stable-diffusion-defaults.js';
import { unet } from '../networks/unet.js';
import { vaeDecode, vaeEncode } from '../networks/vae.js';

/** Parameters of the two networks that training may change. */
export interface PipelineSources {
  unet(weights: WeightSet): ParamSource;
  text(weights: WeightSet): ParamSource;
}

export class DiffusionPipeline {
  readonly encodings = new EncodingCache();
  private readonly warned = new Set<string>();
  /** Pixels per latent, 8 for SD 1.x. */
  readonly factor: number;

  /** @param textIsFrozen states of a prompt may be kept, for they cannot change */
  constructor(
    readonly folder: PipelineFolder,
    private readonly sources: PipelineSources,
    readonly textIsFrozen: boolean,
    private readonly log: Logger,
  ) {
    this.factor = 2 ** (folder.vaeConfig.blockOutChannels.length - 1);
  }

  /** Token ids [77] int32; warns once per prompt that is cut. */
  tokenize(prompt: string): Int32Array {
    const { ids, truncated } = this.folder.tokenizer.encode(prompt);
    if (truncated && !this.warned.has(prompt)) {
      this.warned.add(prompt);
      this.log.warn(`prompt: longer than ${this.folder.tokenizer.maxLength} tokens, the end is cut off: "${prompt}"`);
    }
    return ids;
  }

  /** Text states [T, D] of a prompt. @param cache keep them, where the encoder cannot change */
  async encodeText(executor: Executor, prompt: string, weights: WeightSet, cache = true): Promise<HostTensor> {
    const ids = this.tokenize(prompt);
    const key = `${weights === 'base' || this.textIsFrozen ? 'base' : weights}:${ids.join(',')}`;
    const known = cache ? await this.encodings.get('text', key) : undefined;
    if (known) return known[0];
    const feeds = { input_ids: int32(ids, [1, ids.length]) };
    const { states } = await executor.run(
      'encode_text',
      weights,
      () => {
        const { lastHiddenState } = clipText(
          new Scope(this.sources.text(weights)),
          input('input_ids', [1, ids.length], 'int32'),
          this.folder.textConfig,
        );
        return { states: lastHiddenState };
      },
      feeds,
    );
    const result = float32(floats(states), states.shape.slice(1));
    if (cache && (this.textIsFrozen || weights === 'base')) await this.encodings.set('text', key, [result]);
    return result;
  }

  /** Mean and log variance [C, h, w] of the latents of a picture [3, H, W] in [-1, 1], kept by content. */
  async encodeImage(
    executor: Executor,
    img: HostTensor,
    cache: boolean,
  ): Promise<{ mean: HostTensor; logvar: HostTensor }> {
    const pixels = floats(img);
    const key = cache
      ? createHash('sha256')
          .update(new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength))
          .update(String(img.shape))
          .digest('hex')
      : '';
    const known = cache ? await this.encodings.get('picture', key) : undefined;
    if (known) return { mean: known[0], logvar: known[1] };
    const [, H, W] = img.shape;
    this.checkSize(H, W);
    const shape = [1, 3, H, W];
    const { mean, logvar } = await executor.run(
      'encode_image',
      'base',
      () => {
        const moments = vaeEncode(new Scope(this.folder.vae), input('image', shape), this.folder.vaeConfig);
        return { mean: moments.mean, logvar: moments.logvar };
      },
      { image: float32(pixels, shape) },
    );
    const result = {
      mean: float32(floats(mean), mean.shape.slice(1)),
      logvar: float32(floats(logvar), logvar.shape.slice(1)),
    };
    if (cache) await this.encodings.set('picture', key, [result.mean, result.logvar]);
    return result;
  }

  /** The picture [3, H, W] in 0..1, clamped, of latents [C, h, w] that are multiplied by the scaling factor. */
  async decode(executor: Executor, latents: HostTensor): Promise<HostTensor> {
    const shape = [1, ...latents.shape];
    const unscaled = floats(latents).map((v) => v / this.folder.vaeConfig.scalingFactor);
    const { image } = await executor.run(
      'decode_image',
      'base',
      () => ({
        image: vaeDecode(new Scope(this.folder.vae), input('latents', shape), this.folder.vaeConfig),
      }),
      { latents: float32(unscaled, shape) },
    );
    return unitRange(float32(floats(image), image.shape.slice(1)));
  }

  /** Pictures uint8 [H, W, 3], one per prompt; equal seeds give equal start noise. */
  async *sample(executor: Executor, request: SampleRequest): AsyncGenerator<HostTensor> {
    const { prompts, seeds, height, width, steps, signal, weights = 'current' } = request;
    if (seeds.length !== prompts.length)
      throw new UserError(`sample: ${seeds.length} seeds for ${prompts.length} prompts; give one seed per prompt`);
    this.checkSize(height, width);
    const shape = [this.folder.unetConfig.inChannels, height / this.factor, width / this.factor],
      size = sizeOf(shape);
    for (const [i, prompt] of prompts.entries()) {
      const negative = Array.isArray(request.negative_prompt)
        ? request.negative_prompt[i]
        : (request.negative_prompt ?? '');
      const noise = new Rng(seeds[i]).stream('latents');
      const latents = await this.denoise(executor, {
        prompt,
        negative: String(negative),
        steps,
        weights,
        signal,
        guidance: request.guidance_scale,
        rescale: request.guidance_rescale,
        scheduler: request.scheduler,
        start: float32(noise.normals(size), shape),
        noise: () => noise.normals(size),
        onStep: (done) => request.onStep?.(i * steps + done, prompts.length * steps),
      });
      if (!latents) return;
      yield toPixels(await this.decode(executor, latents));
    }
  }

  /** From standard normal noise [C, h, w] to latents, or undefined when the signal stopped it. */
  async denoise(executor: Executor, request: DenoiseRequest): Promise<HostTensor | undefined> {
    const { guidance, rescale, weights, start, steps } = request;
    const positive = await this.encodeText(executor, request.prompt, weights);
    const text =
      guidance > 1 ? stack([await this.encodeText(executor, request.negative, weights), positive]) : stack([positive]);
    return denoise({
      scheduler: this.scheduler(request.scheduler),
      steps,
      start,
      noise: request.noise,
      predict: (sample, timestep) => this.predict(executor, sample, timestep, text, { guidance, rescale }, weights),
      onStep: request.onStep,
      signal: request.signal,
    });
  }

  /** The one that was asked for, or the pipeline's own; warns once of what diffusers' pipeline would not follow either. */
  private scheduler(name: string | undefined): Scheduler {
    const { config, changed } = stableDiffusionDefaults(this.folder.schedulerConfig),
      file = schedulerFile(this.folder.path);
    if (changed.length > 0 && !this.warned.has(file)) {
      this.warned.add(file);
      this.log.warn(`${file}: drawn without ${changed.join(' and ')}, as by diffusers' pipeline`);
    }
    return schedulerFromConfig(config, name, { key: 'scheduler', file });
  }

  /** One U-Net evaluation; with guidance, negative and positive in one batch. */
  async predict(
    executor: Executor,
    sample: HostTensor,
    timestep: number,
    text: HostTensor,
    { guidance, rescale = 0 }: Guidance,
    weights: WeightSet,
  ): Promise<Float32Array> {
    const [rows] = text.shape;
    const guided = rows === 2;
    const feeds = {
      sample,
      timestep: float32([timestep], [1]),
      text,
      ...(guided ? { guidance: scalar(guidance) } : {}),
      ...(guided && rescale > 0 ? { rescale: scalar(rescale) } : {}),
    };
    const { prediction } = await executor.run(
      'sample_step',
      weights,
      () => {
        const x = input('sample', sample.shape);
        const inputs = {
          sample: guided ? concat([x, x], 0) : x,
          timesteps: expand(input('timestep', [1]), [rows]),
          encoderHiddenStates: input('text', text.shape),
        };
        const { out } = unet(new Scope(this.sources.unet(weights)), inputs, this.folder.unetConfig);
        return { prediction: guided ? guide(out, input('guidance', []), rescale > 0) : out };
      },
      feeds,
    );
    return floats(prediction);
  }

  private checkSize(height: number, width: number): void {
    if (height % this.factor !== 0 || width % this.factor !== 0 || height <= 0 || width <= 0) {
      throw new UserError(
        `image size: ${height} x ${width} pixels; height and width must be multiples of ${this.factor}`,
      );
    }
  }
}

export interface Guidance {
  /** 1 or less runs without */
  readonly guidance: number;
  /** 0 to 1; default 0 */
  readonly rescale?: number | undefined;
}

export interface DenoiseRequest extends Guidance {
  readonly prompt: string;
  readonly negative: string;
  readonly steps: number;
  readonly scheduler?: string | undefined;
  readonly weights: WeightSet;
  /** [C, h, w] standard normals */
  readonly start: HostTensor;
  /** fresh standard normals of that size, for samplers that want some */
  readonly noise: () => Float32Array;
  /** After each evaluation of the U-Net. @param done how many of the steps that were asked for; some methods evaluate more often */
  readonly onStep?: ((done: number, latents: Float32Array) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * negative + scale (positive - negative); rows 0 and 1 of the batch. Rescaled, its standard deviation moves towards that
 * of `positive`: Lin et al., arXiv 2305.08891, section 3.4.
 */
function guide(out: Tensor, scale: Tensor, rescaled: boolean): Tensor {
  const negative = narrow(out, 0, 0, 1),
    positive = narrow(out, 0, 1, 2),
    guided = add(negative, mul(sub(positive, negative), scale));
  if (!rescaled) return guided;
  const ratio = sqrt(div(variance(positive), variance(guided)));
  return mul(guided, add(1, mul(input('rescale', []), sub(ratio, 1))));
}

/** Of all elements, a scalar. */
const variance = (x: Tensor): Tensor => mean(square(sub(x, mean(x))));

/** Equal-shaped tensors as rows of one. */
export function stack(tensors: readonly HostTensor[]): HostTensor {
  const [first] = tensors;
  const size = first.data.length,
    data = new Float32Array(size * tensors.length);
  tensors.forEach((t, i) => data.set(floats(t), i * size));
  return float32(data, [tensors.length, ...first.shape]);
}
