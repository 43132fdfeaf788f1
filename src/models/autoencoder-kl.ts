/**
 * Training of the picture autoencoder (Rombach et al., arXiv 2112.10752, section 3.1) without its adversarial part: pictures
 * are compared by values and by edges, and a weak Kullback-Leibler term keeps the latents near a unit normal.
 */
import { join } from 'node:path';
import { inject } from 'inversify';
import type { Feeds } from '../backends/backend.js';
import { UserError } from '../base/errors.js';
import type { Rng } from '../base/rng.js';
import { MODELS, Model, type StepContext, type TrainSample } from './model.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';
import { type Logger } from '../base/logger.js';
import { floats, float32, sizeOf, totalSizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import { abs, add, exp, log, mean, mul, narrow, neg, square, sub } from '../tensor/ops.js';
import { input, type Tensor, type TensorType } from '../tensor/tensor.js';
import { stack } from '../sampling/diffusion-pipeline.js';
import { FrozenSource, olderVaeName } from '../formats/frozen-source.js';
import { Scope } from '../networks/layers/scope.js';
import { fingerprint } from '../formats/fingerprint.js';
import { readJson } from '../formats/read-json.js';
import { recorded, recordVae } from '../networks/record.js';
import { initOption, randomStart } from '../networks/random-start.js';
import { TrainedPart } from './trained-part.js';
import { vaeDecode, vaeEncode } from '../networks/vae.js';
import { parseVaeConfig, type VaeConfig } from '../networks/vae-config.js';
import { resolveModel } from '../formats/hub/hub.js';
import { partFolders } from '../formats/pipeline/part-folders.js';
import { openWeights } from '../formats/open-weights.js';

/** What turns pictures into latents. */
const ENCODER = /^(encoder|quant_conv)\./;

@MODELS.register()
export class AutoencoderKL extends Model {
  static readonly options = {
    description: 'The picture autoencoder of a pipeline, trained whole; the texts of the dataset are not used.',
    type: 'object',
    additionalProperties: false,
    required: ['model'],
    properties: {
      model: { type: 'string', description: 'pipeline whose vae/ is trained: a folder, or an id of the hub' },
      init: initOption,
      train_encoder: {
        type: 'boolean',
        default: true,
        description:
          'false: the decoder alone learns, so that latents, and the U-Nets that know them, stay as they are; needs init: copy',
      },
      edge_weight: {
        type: 'number',
        minimum: 0,
        default: 0.5,
        description: 'factor of the mean absolute error of differences between neighbouring pixels',
      },
      kl_weight: {
        type: 'number',
        minimum: 0,
        default: 1e-6,
        description: "factor of the Kullback-Leibler divergence of a picture's latents from a unit normal, per picture",
      },
      scaling_factor: {
        type: ['string', 'null'],
        enum: ['measure', 'keep', null],
        default: null,
        description:
          "measure: the saved config.json gets 1 / the deviation of the last batch's latents, as SD's 0.18215 was found; keep: as it was; null: measure where the encoder learns",
      },
    },
  } as const satisfies OptionsSchema;

  private config!: VaeConfig;
  private source!: FrozenSource;
  private part!: TrainedPart;
  private raw!: Readonly<Record<string, unknown>>;
  private baseFingerprint = '';
  private lastImages: HostTensor | undefined;

  /** @throws UserError where an encoder that nobody trained would stay as it is */
  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof AutoencoderKL.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
    if (!opts.train_encoder && opts.init === 'random')
      throw new UserError(
        'model.train_encoder: false, and model.init: "random" begins with a decoder that knows nothing of this encoder; set model.init to "copy"',
      );
  }

  async load(): Promise<void> {
    const folder = (await partFolders(await resolveModel(this.opts.model, { log: this.log }))).of('vae'),
      file = join(folder, 'config.json');
    this.raw = await readJson(file, 'every component has one');
    this.config = parseVaeConfig(this.raw, file);
    this.source = new FrozenSource(
      await openWeights(folder, 'diffusion_pytorch_model', { log: this.log }),
      olderVaeName,
    );
    const shapes = recorded((s) => recordVae(s, this.config));
    this.source.check(shapes, /^\b$/, this.log);
    this.part = new TrainedPart(
      'vae',
      this.source,
      shapes,
      { kind: 'whole', ...(this.opts.train_encoder ? {} : { except: ENCODER }) },
      this.raw,
    );
    this.baseFingerprint = await fingerprint(this.source.weights);
  }

  get fingerprint(): string {
    return this.baseFingerprint;
  }

  get counts(): { readonly frozen: number; readonly trainable: number } {
    return {
      frozen: this.part.frozenCount,
      trainable: totalSizeOf(this.part.parameters),
    };
  }

  parameters(): ReadonlyMap<string, Shape> {
    return this.part.parameters;
  }

  async initialValues(rng: Rng): Promise<Record<string, HostTensor>> {
    return this.opts.init === 'random' ? randomStart(this.part.parameters, rng) : this.part.initialValues(rng);
  }

  /** `images` [B, 3, H, W] in [-1, 1]; `noise` [B, C, h, w], a unit normal. */
  async feeds(samples: readonly TrainSample[], { iteration, rng }: StepContext): Promise<Feeds> {
    const images = stack(samples.map(({ img }) => img)),
      [B, , H, W] = images.shape;
    const factor = 2 ** (this.config.blockOutChannels.length - 1);
    if (H % factor !== 0 || W % factor !== 0)
      throw new UserError(
        `model: pictures are ${W}x${H} pixels; this autoencoder takes multiples of ${factor}, change the Resize of the dataset's pipeline`,
      );
    this.lastImages = images;
    const shape = [B, this.config.latentChannels, H / factor, W / factor];
    return { images, noise: float32(rng.stream('latents', iteration).normals(sizeOf(shape)), shape) };
  }

  loss({ images: { shape }, noise: { shape: latentShape } }: Readonly<Record<string, TensorType>>): {
    loss: Tensor;
    logs: Record<string, Tensor>;
  } {
    const scope = new Scope(this.part.source('current')),
      images = input('images', shape);
    const moments = vaeEncode(scope, images, this.config);
    const latents = add(moments.mean, mul(exp(mul(moments.logvar, 0.5)), input('noise', latentShape)));
    const decoded = vaeDecode(scope, latents, this.config),
      error = sub(decoded, images);
    const values = mean(abs(error)),
      edges = add(mean(abs(slope(error, 2))), mean(abs(slope(error, 3))));
    // DiagonalGaussianDistribution.kl: a sum over a picture's latents
    const perLatent = sub(add(square(moments.mean), exp(moments.logvar)), add(moments.logvar, 1));
    const kl = mul(mean(perLatent), 0.5 * sizeOf(latentShape.slice(1)));
    return {
      loss: add(add(values, mul(edges, this.opts.edge_weight)), mul(kl, this.opts.kl_weight)),
      // decibels, for values that span 2
      logs: { psnr: mul(neg(log(mul(mean(square(error)), 1 / 4))), 10 / Math.LN10), kl },
    };
  }

  async *sample(): AsyncGenerator<HostTensor> {
    throw new UserError(
      'model: an autoencoder draws nothing from a prompt; remove the VisualizationHook (custom_hooks.preview: null)',
    );
  }

  /** Writes `vae/` in diffusers' format. */
  async save(folder: string, values: Readonly<Record<string, HostTensor>>): Promise<void> {
    const scaling =
      (this.opts.scaling_factor ?? (this.opts.train_encoder ? 'measure' : 'keep')) === 'measure' && this.lastImages
        ? { scaling_factor: await this.measuredScaling(this.lastImages) }
        : {};
    const base = { model: this.opts.model, fingerprint: this.fingerprint, config: JSON.stringify(this.opts) };
    await this.part.save(folder, values, base, { ...this.raw, ...scaling });
  }

  private async measuredScaling(images: HostTensor): Promise<number> {
    const { latents } = await this.executor.run(
      'measure_latents',
      'current',
      () => ({
        latents: vaeEncode(new Scope(this.part.source('current')), input('images', images.shape), this.config).mean,
      }),
      { images },
    );
    const values = floats(latents),
      centre = values.reduce((a, v) => a + v, 0) / values.length;
    return 1 / Math.sqrt(values.reduce((a, v) => a + (v - centre) ** 2, 0) / values.length);
  }
}

/** Differences of neighbours along an axis. */
function slope(x: Tensor, axis: number): Tensor {
  const n = x.shape[axis];
  return sub(narrow(x, axis, 1, n), narrow(x, axis, 0, n - 1));
}

declare module '../registry/kinds.js' {
  interface ModelMap {
    AutoencoderKL: typeof AutoencoderKL;
  }
}
