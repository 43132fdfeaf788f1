/** Contrastive training of a CLIP's picture and text tower (Radford et al., arXiv 2103.00020, section 2.3). */
import { configJson } from '../formats/config-json.js';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'inversify';
import { writeFileAtomic } from '../base/atomic-file.js';
import type { Feeds } from '../backends/backend.js';
import { UserError } from '../base/errors.js';
import type { Rng } from '../base/rng.js';
import { MODELS, Model, type StepContext, type TrainSample } from './model.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';
import { type Logger } from '../base/logger.js';
import { floats, float32, int32, scalar, totalSizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import { add, exp, minimum, mul, reshape, vector } from '../tensor/ops.js';
import { input, parameter, type Tensor, type TensorType } from '../tensor/tensor.js';
import {
  clipImageFeatures,
  clipTextFeatures,
  logitScale,
  openClip,
  pooledRows,
  recordClip,
  type ClipFolder,
} from '../formats/clip-folder.js';
import { contrastiveLoss, retrievalAccuracy, similarities } from './clip-loss.js';
import { preprocessorConfig } from '../formats/picture-preprocess.js';
import { stack } from '../sampling/diffusion-pipeline.js';
import { Scope } from '../networks/layers/scope.js';
import { fingerprint } from '../formats/fingerprint.js';
import { recorded } from '../networks/record.js';
import { clipStart } from './random-clip.js';
import { initOption } from '../networks/random-start.js';
import { copyTokenizer } from '../formats/tokenizers/small-tokenizer.js';
import { resolveModel } from '../formats/hub/hub.js';
import { writeSafetensors } from '../formats/safetensors/safetensors.js';

@MODELS.register()
export class ContrastiveCLIP extends Model {
  static readonly options = {
    description:
      'A CLIP, both towers trained whole to tell which caption belongs to which picture of a batch. Equal captions count as right.',
    type: 'object',
    additionalProperties: false,
    required: ['model'],
    properties: {
      model: {
        type: 'string',
        description:
          "CLIP in transformers' CLIPModel format, with its tokenizer: a folder, or an id of the hub such as openai/clip-vit-base-patch32",
      },
      init: initOption,
      max_logit_scale: {
        type: 'number',
        minimum: 1,
        default: 100,
        description: 'limit of the learned factor of similarities; as the CLIP paper, section 2.5',
      },
    },
  } as const satisfies OptionsSchema;

  private folder!: ClipFolder;
  private shapes!: ReadonlyMap<string, Shape>;
  private baseFingerprint = '';
  private readonly warned = new Set<string>();

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof ContrastiveCLIP.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  async load(): Promise<void> {
    this.folder = await openClip(await resolveModel(this.opts.model, { log: this.log }), this.log);
    this.shapes = recorded((s) => recordClip(s, this.folder.config));
    this.baseFingerprint = await fingerprint(this.folder.source.weights);
  }

  get fingerprint(): string {
    return this.baseFingerprint;
  }

  get counts(): { readonly frozen: number; readonly trainable: number } {
    return { frozen: 0, trainable: totalSizeOf(this.shapes) };
  }

  parameters(): ReadonlyMap<string, Shape> {
    return this.shapes;
  }

  async initialValues(rng: Rng): Promise<Record<string, HostTensor>> {
    const { source, config } = this.folder;
    if (this.opts.init === 'random') return clipStart(this.shapes, config, rng);
    const values: Record<string, HostTensor> = {};
    for (const [name, shape] of this.shapes) values[name] = { ...(await source.weights.readFloat32(name)), shape };
    return values;
  }

  /** `images` [B, 3, H, W] in [-1, 1]; `input_ids` [B, T]; `text_rows` [B]; `same` [B, B], 1 where captions are equal. Class pictures are further pairs. */
  async feeds(samples: readonly TrainSample[], _step: StepContext): Promise<Feeds> {
    const pairs = samples.flatMap((s) => (s.prior ? [s, s.prior] : [s])),
      B = pairs.length;
    const images = stack(pairs.map(({ img }) => img)),
      [, , H, W] = images.shape,
      side = this.folder.config.vision.imageSize;
    if (H !== side || W !== side)
      throw new UserError(
        `model: pictures are ${W}x${H} pixels, this CLIP takes ${side}x${side}; change Resize and crop of the dataset's pipeline`,
      );
    const ids = pairs.map(({ text }) => this.tokenize(text)),
      keys = ids.map(String);
    return {
      images,
      input_ids: int32(Int32Array.from(ids.flatMap((list) => [...list])), [B, ids[0].length]),
      text_rows: int32(pooledRows(ids, this.folder.config.text), [B]),
      same: float32(
        Float32Array.from({ length: B * B }, (_, i) => (keys[i % B] === keys[Math.floor(i / B)] ? 1 : 0)),
        [B, B],
      ),
    };
  }

  loss(feeds: Readonly<Record<string, TensorType>>): { loss: Tensor; logs: Record<string, Tensor> } {
    const of = (name: string): Tensor => input(name, feeds[name].shape, feeds[name].dtype);
    const {
      config,
      preprocess: { mean, std },
    } = this.folder;
    const scope = new Scope({ get: (name, shape) => parameter(name, shape) });
    // From [-1, 1] by way of [0, 1] to CLIP's mean and deviation.
    const channel = (values: readonly number[]): Tensor => reshape(vector(values), [3, 1, 1]);
    const pixels = add(
      mul(of('images'), channel(std.map((s) => 0.5 / s))),
      channel(std.map((s, c) => (0.5 - mean[c]) / s)),
    );
    const images = clipImageFeatures(scope, pixels, config);
    const texts = clipTextFeatures(scope, of('input_ids'), of('text_rows'), config);
    const scale = exp(minimum(logitScale(scope), Math.log(this.opts.max_logit_scale)));
    const logits = similarities(images, texts, scale),
      same = of('same');
    return {
      loss: contrastiveLoss(logits, same),
      logs: { accuracy: retrievalAccuracy(logits, same), logit_scale: scale },
    };
  }

  async *sample(): AsyncGenerator<HostTensor> {
    throw new UserError('model: a CLIP draws no pictures; remove the VisualizationHook (custom_hooks.preview: null)');
  }

  /** Writes `clip/`, a complete CLIPModel folder. */
  async save(folder: string, values: Readonly<Record<string, HostTensor>>): Promise<void> {
    const target = join(folder, 'clip'),
      { path, raw, preprocess } = this.folder;
    await mkdir(target, { recursive: true });
    const limited = scalar(Math.min(floats(values['logit_scale'])[0], Math.log(this.opts.max_logit_scale)));
    const tensors = Object.fromEntries(
      [...this.shapes.keys()].map((name) => [name, name === 'logit_scale' ? limited : values[name]]),
    );
    await writeSafetensors(join(target, 'model.safetensors'), tensors, {
      format: 'pt',
      base_model: this.opts.model,
      base_fingerprint: this.fingerprint,
    });
    const json = (name: string, value: object): Promise<void> => writeFileAtomic(join(target, name), configJson(value));
    await json('config.json', 'torch_dtype' in raw ? { ...raw, torch_dtype: 'float32' } : raw);
    await json('preprocessor_config.json', preprocessorConfig(preprocess));
    await copyTokenizer(path, target);
  }

  private tokenize(text: string): Int32Array {
    const { ids, truncated } = this.folder.tokenizer.encode(text);
    if (truncated && !this.warned.has(text)) {
      this.warned.add(text);
      this.log.warn(`caption: longer than ${this.folder.tokenizer.maxLength} tokens, the end is cut off: "${text}"`);
    }
    return ids;
  }
}

declare module '../registry/kinds.js' {
  interface ModelMap {
    ContrastiveCLIP: typeof ContrastiveCLIP;
  }
}
