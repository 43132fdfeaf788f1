/**
 * A vision transformer that learns from pictures alone: DINO (Caron et al., arXiv 2104.14294). A student sees parts of a
 * picture and has to answer as a teacher does that sees another view of it. The teacher is the moving average of the student,
 * which EMAHook keeps; it is what is saved.
 */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'inversify';
import type { Feeds } from '../backends/backend.js';
import { writeFileAtomic } from '../base/atomic-file.js';
import { UserError } from '../base/errors.js';
import { type Logger } from '../base/logger.js';
import type { Rng } from '../base/rng.js';
import { configJson } from '../formats/config-json.js';
import { fingerprint } from '../formats/fingerprint.js';
import { resolveModel } from '../formats/hub/hub.js';
import { parsePreprocess, preprocessorConfig, type PicturePreprocess } from '../formats/picture-preprocess.js';
import { readJson } from '../formats/read-json.js';
import { writeSafetensors } from '../formats/safetensors/safetensors.js';
import { openVit, type VitFolder } from '../formats/vit-folder.js';
import type { RawConfig } from '../networks/component-config.js';
import { Scope, type ParamSource } from '../networks/layers/scope.js';
import { recorded } from '../networks/record.js';
import { parseVitConfig, vit, type VitConfig } from '../networks/vit.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';
import { float32, sizeOf, totalSizeOf, zeros, type HostTensor, type Shape } from '../tensor/host.js';
import { add, log, mul, narrow, reshape, vector } from '../tensor/ops.js';
import { input, parameter, type Tensor, type TensorType } from '../tensor/tensor.js';
import { dinoHead, type DinoHeadConfig } from './dino-head.js';
import { buffer, MODELS, Model, type StepContext, type StepGraph, type TrainSample } from './model.js';
import { multiCrop, type Views } from './multi-crop.js';
import { crossEntropy, nextCentre, selfDistillationLoss, teacherTargets } from './self-distillation-loss.js';

/** What a layer's weights start with (facebookresearch/dino, vision_transformer.py: trunc_normal_ of 0.02). */
const START_DEVIATION = 0.02;
/** Views that the teacher sees. */
const GLOBALS = 2;
/** Keeps the logarithm of a probability that is 0 finite. */
const TINY = 1e-12;

const count = (description: string, fallback: number) =>
  ({ type: 'integer', minimum: 1, default: fallback, description }) as const;
const share = (description: string, fallback: number) =>
  ({ type: 'number', minimum: 0, maximum: 1, default: fallback, description }) as const;
const range = (description: string, fallback: readonly number[]) =>
  ({
    type: 'array',
    items: { type: 'number', exclusiveMinimum: 0, maximum: 1 },
    minItems: 2,
    maxItems: 2,
    default: fallback,
    description,
  }) as const;
const temperature = (description: string, fallback: number) =>
  ({ type: 'number', exclusiveMinimum: 0, default: fallback, description }) as const;

@MODELS.register()
export class SelfDistillation extends Model {
  static readonly options = {
    description:
      "DINO: a vision transformer that learns without labels. Its teacher is the moving average that an EMAHook keeps. The dataset's texts are not used.",
    type: 'object',
    additionalProperties: false,
    properties: {
      model: {
        type: ['string', 'null'],
        default: null,
        description:
          "a ViTModel or Dinov2Model to go on with, in transformers' format: a folder, or an id of the hub; null: `vit`, from nothing",
      },
      vit: {
        type: 'object',
        additionalProperties: false,
        default: {},
        description: 'the layout of a network from nothing, names as in the config.json of a ViTModel',
        properties: {
          hidden_size: count('width of a token', 96),
          num_hidden_layers: count('number of layers', 4),
          num_attention_heads: count('heads of each layer', 4),
          intermediate_size: count('width between the two products of a feed-forward layer', 384),
          image_size: count('pixels of either side', 64),
          patch_size: count('pixels of either side of a token', 8),
        },
      },
      head: {
        type: 'object',
        additionalProperties: false,
        default: {},
        description: 'what sorts pictures during training; it is not saved with the network',
        properties: {
          hidden: count('width of its two hidden layers', 256),
          bottleneck: count('width of the vectors that are compared with the prototypes', 64),
          prototypes: count('what pictures are sorted into', 1024),
        },
      },
      crops: {
        type: 'object',
        additionalProperties: false,
        default: {},
        description:
          'views of each picture: two global ones, which teacher and student see, and local ones for the student',
        properties: {
          global_scale: range("smallest and largest share of the picture's area in a global view", [0.4, 1]),
          local_scale: range('the same of a local view', [0.1, 0.4]),
          pictures: count(
            'so many pictures in a row of a batch show one thing, and views are taken from them in turn: what they share is learnt, such as the subject, and not where it stands (ToylandDataset.sightings). Read them without shuffling',
            1,
          ),
          local_number: { type: 'integer', minimum: 0, default: 4, description: 'local views of each picture' },
          local_size: count('pixels of a side of a local view, a multiple of patch_size', 32),
          flip: share('share of views that are mirrored', 0.5),
          jitter: share('largest change of brightness, contrast and saturation', 0.4),
          grayscale: share('share of views that lose their colours', 0.2),
          blur: share('share of views that are softened', 0.5),
        },
      },
      student_temp: temperature("what the student's logits are divided by", 0.1),
      teacher_temp: temperature("what the teacher's logits are divided by; lower is sharper", 0.04),
      center_momentum: share("share of the old centre of the teacher's logits that each step keeps", 0.9),
    },
  } as const satisfies OptionsSchema;

  override readonly needsAverage = true;
  private config!: VitConfig;
  private raw!: RawConfig;
  private preprocess!: PicturePreprocess;
  private folder: VitFolder | undefined;
  private shapes!: ReadonlyMap<string, Shape>;
  private identity = '';

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof SelfDistillation.options>,
    @inject(LOGGER) private readonly logger: Logger,
  ) {
    super();
  }

  async load(): Promise<void> {
    const { model } = this.opts;
    if (model === null) {
      this.raw = { architectures: ['ViTModel'], model_type: 'vit', hidden_act: 'gelu', layer_norm_eps: 1e-6, num_channels: 3, qkv_bias: true, ...this.opts.vit }; // prettier-ignore
      this.config = parseVitConfig(this.raw, 'model.vit');
      this.preprocess = parsePreprocess({}, this.config.imageSize, 'model', 'ViTImageProcessor');
      this.identity = createHash('sha256').update(JSON.stringify(this.raw)).digest('hex');
    } else {
      this.folder = await openVit(await resolveModel(model, { log: this.logger }), this.logger);
      ({ config: this.config, preprocess: this.preprocess } = this.folder);
      this.raw = await readJson(join(this.folder.path, 'config.json'), 'openVit has read it');
      this.identity = await fingerprint(this.folder.source.weights);
    }
    const { patchSize } = this.config,
      { local_size: local, local_number: locals } = this.opts.crops;
    if (locals > 0 && local % patchSize !== 0)
      throw new UserError(
        `model.crops.local_size: ${local} is no multiple of the patch size ${patchSize}; set it to ${Math.max(1, Math.round(local / patchSize)) * patchSize}`,
      );
    for (const name of ['global_scale', 'local_scale'] as const) {
      const [least, most] = this.opts.crops[name];
      if (least > most)
        throw new UserError(`model.crops.${name}: [${least}, ${most}] runs backwards; write [${most}, ${least}]`);
    }
    const side = this.side;
    this.shapes = recorded((source) => void this.logits(source, input('views', [1, 3, side, side])));
  }

  /** Of a global view, in pixels: what the saved network takes. */
  private get side(): number {
    return this.preprocess.size;
  }

  get fingerprint(): string {
    return this.identity;
  }

  get counts(): { readonly frozen: number; readonly trainable: number } {
    return { frozen: 0, trainable: totalSizeOf(this.shapes) };
  }

  parameters(): ReadonlyMap<string, Shape> {
    return this.shapes;
  }

  override buffers(): Readonly<Record<string, HostTensor>> {
    return { center: zeros('float32', [this.opts.head.prototypes]) };
  }

  async initialValues(rng: Rng): Promise<Record<string, HostTensor>> {
    const values: Record<string, HostTensor> = {};
    for (const [name, shape] of this.shapes)
      values[name] = (await this.given(name, shape)) ?? startValue(name, shape, rng);
    return values;
  }

  /** A value of the network that training goes on with. */
  private async given(name: string, shape: Shape): Promise<HostTensor | undefined> {
    if (!this.folder || !name.startsWith('vit.')) return undefined;
    const { source } = this.folder;
    return { ...(await source.weights.readFloat32(source.storedName(name.slice('vit.'.length)))), shape };
  }

  /**
   * `globals` [2 B, 3, S, S] and `locals` [n B, 3, s, s] in [-1, 1], first views first; `teacher` [2 B, K], its logits of the
   * global ones. Class pictures are further rows.
   */
  async feeds(samples: readonly TrainSample[], { iteration, rng }: StepContext): Promise<Feeds> {
    const pictures = samples.flatMap((s) => (s.prior ? [s.img, s.prior.img] : [s.img])),
      { crops } = this.opts,
      each = crops.pictures;
    if (each > 1) checkGroups(samples, each);
    const views = Array.from({ length: pictures.length / each }, (_, row) =>
      multiCrop(pictures.slice(row * each, (row + 1) * each), this.side, crops, rng.stream('crops', iteration, row)),
    );
    const globals = together(views, 'globals', GLOBALS, this.side);
    const { teacher } = await this.executor.run(
      'self_distillation_teacher',
      'ema',
      () => ({ teacher: this.logits(TRAINED, input('globals', globals.shape)) }),
      { globals },
    );
    return {
      globals,
      teacher,
      ...(crops.local_number > 0 && { locals: together(views, 'locals', crops.local_number, crops.local_size) }),
    };
  }

  loss(feeds: Readonly<Record<string, TensorType>>): StepGraph {
    const of = (name: string): Tensor => input(name, feeds[name].shape),
      { student_temp, teacher_temp, center_momentum, head, crops } = this.opts;
    const B = feeds['globals'].shape[0] / GLOBALS,
      centre = buffer('center', [head.prototypes]),
      teacher = of('teacher');
    const targets = teacherTargets(teacher, centre, teacher_temp);
    const student = [
      ...byView(this.logits(TRAINED, of('globals')), GLOBALS, B),
      ...(crops.local_number > 0 ? byView(this.logits(TRAINED, of('locals')), crops.local_number, B) : []),
    ];
    const loss = selfDistillationLoss(student, byView(targets, GLOBALS, B), student_temp);
    return {
      loss,
      // Near 0 or near log K it has collapsed: one answer for all pictures, or none for any.
      logs: { teacher_entropy: crossEntropy(targets, log(add(targets, TINY))) },
      updates: { center: nextCentre(centre, teacher, center_momentum) },
    };
  }

  /** @param views [N, 3, s, s] in [-1, 1] @returns [N, K] */
  private logits(source: ParamSource, views: Tensor): Tensor {
    const { mean, std } = this.preprocess,
      scope = new Scope(source),
      D = this.config.hiddenSize;
    // From [-1, 1] by way of [0, 1] to the network's mean and deviation.
    const channel = (values: readonly number[]): Tensor => reshape(vector(values), [3, 1, 1]);
    const isSame = mean.every((m) => m === 0.5) && std.every((s) => s === 0.5);
    const pixels = isSame
      ? views
      : add(mul(views, channel(std.map((s) => 0.5 / s))), channel(std.map((s, c) => (0.5 - mean[c]) / s)));
    const tokens = vit(scope.child('vit'), pixels, this.config, { interpolatePositions: true });
    const features = reshape(narrow(tokens, 1, 0, 1), [views.shape[0], D]);
    return dinoHead(scope.child('head'), features, this.headConfig);
  }

  private get headConfig(): DinoHeadConfig {
    return this.opts.head;
  }

  async *sample(): AsyncGenerator<HostTensor> {
    throw new UserError(
      'model: a vision transformer draws no pictures; remove the VisualizationHook (custom_hooks.preview: null)',
    );
  }

  /** Writes `vit/`, which transformers' AutoModel and DinoScore open. */
  async save(folder: string, values: Readonly<Record<string, HostTensor>>): Promise<void> {
    const target = join(folder, 'vit'),
      prefix = 'vit.';
    await mkdir(target, { recursive: true });
    await writeSafetensors(
      join(target, 'model.safetensors'),
      Object.fromEntries(
        [...this.shapes.keys()]
          .filter((name) => name.startsWith(prefix))
          .map((name) => [name.slice(prefix.length), values[name]]),
      ),
      { format: 'pt' },
    );
    await writeFileAtomic(join(target, 'config.json'), configJson(this.raw));
    await writeFileAtomic(join(target, 'preprocessor_config.json'), configJson(preprocessorConfig(this.preprocess)));
  }
}

const TRAINED: ParamSource = { get: (name, shape) => parameter(name, shape) };

/** @throws UserError where a batch does not fall into groups of `each` pictures of one thing */
function checkGroups(samples: readonly TrainSample[], each: number): void {
  if (samples.length % each !== 0)
    throw new UserError(
      `model.crops.pictures: a batch of ${samples.length} does not fall into groups of ${each} pictures; set train_dataloader.batch_size to a multiple of ${each}, and num_images, too`,
    );
  if (samples.some(({ prior }) => prior))
    throw new UserError(
      `model.crops.pictures: ${each} pictures in a row show one thing, and class pictures stand between them; set train_dataloader.dataset.class_prompt to null, or pictures to 1`,
    );
}

/** Rows [n B, K] by view. */
const byView = (rows: Tensor, n: number, B: number): Tensor[] =>
  Array.from({ length: n }, (_, i) => narrow(rows, 0, i * B, (i + 1) * B));

/** All first views, then all second ones, ...: [n B, 3, size, size]. */
function together(views: readonly Views[], kind: keyof Views, n: number, size: number): HostTensor {
  const each = 3 * size * size,
    data = new Float32Array(n * views.length * each);
  for (let k = 0; k < n; k++) views.forEach((v, row) => data.set(v[kind][k], (k * views.length + row) * each));
  return float32(data, [n * views.length, 3, size, size]);
}

/** Norm scales 1, biases 0, the rest normal. Each depends on (seed, name) only. */
function startValue(name: string, shape: Shape, rng: Rng): HostTensor {
  const size = sizeOf(shape);
  if (shape.length === 1) return float32(new Float32Array(size).fill(name.endsWith('.bias') ? 0 : 1), shape);
  const data = rng.stream(`init ${name}`).normals(size);
  return float32(
    data.map((v) => v * START_DEVIATION),
    shape,
  );
}

declare module '../registry/kinds.js' {
  interface ModelMap {
    SelfDistillation: typeof SelfDistillation;
  }
}
