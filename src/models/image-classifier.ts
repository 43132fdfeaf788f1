/** A classifier of pictures, trained on pictures and what their texts say: a judge of generated pictures that no generator had a part in. */
import { createHash } from 'node:crypto';
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
import { floats, float32, totalSizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import { input, parameter, type Tensor, type TensorType } from '../tensor/tensor.js';
import { degrade } from './classifier-augment.js';
import { oneHot, PhraseFinder } from '../networks/classifier-labels.js';
import { attributeAccuracy, attributeLoss } from './classifier-loss.js';
import {
  checkClassifier,
  classifierJson,
  classifierLogits,
  classifierShapes,
  classifierStart,
  type ClassifierConfig,
} from '../networks/classifier.js';
import { stack } from '../sampling/diffusion-pipeline.js';
import { Scope } from '../networks/layers/scope.js';
import { writeSafetensors } from '../formats/safetensors/safetensors.js';

/** Texts after which it is said that an attribute was in none of them. */
const ENOUGH_TEXTS = 200;

@MODELS.register()
export class ImageClassifier extends Model {
  static readonly options = {
    description:
      'Tells from a picture which phrase of each list its text has. A text that has none of a list, or two, says nothing of that attribute.',
    type: 'object',
    additionalProperties: false,
    required: ['attributes'],
    properties: {
      attributes: {
        type: 'object',
        additionalProperties: { type: 'array', items: { type: 'string' } },
        description:
          "the phrases of each attribute, as whole words of the texts: { subject: ['dog', 'cat'], setting: ['on grass', 'at the beach'] }",
      },
      channels: {
        type: 'array',
        items: { type: 'integer', minimum: 8 },
        minItems: 1,
        default: [32, 64, 96, 128],
        description: 'width of each stage, a multiple of 8; each stage halves the sides of the picture',
      },
      image_size: { type: 'integer', minimum: 8, default: 64, description: 'pixels of either side' },
      augment: {
        type: 'object',
        additionalProperties: false,
        default: {},
        description:
          'training pictures made a little worse, so that generated ones are not judged by what a decoder leaves in them',
        properties: {
          noise: {
            type: 'number',
            minimum: 0,
            default: 0,
            description: 'largest deviation of Gaussian noise, for values in [-1, 1]; each picture draws its own',
          },
          blur: {
            type: 'number',
            minimum: 0,
            maximum: 1,
            default: 0,
            description:
              'share of pictures that are softened, by means of 3x3 pixels or by halving and doubling their size',
          },
        },
      },
    },
  } as const satisfies OptionsSchema;

  private readonly config: ClassifierConfig;
  private readonly shapes: ReadonlyMap<string, Shape>;
  private readonly finders: ReadonlyMap<string, PhraseFinder>;
  private readonly unseen: Set<string>;
  private textsSeen = 0;

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof ImageClassifier.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
    this.config = { attributes: opts.attributes, channels: opts.channels, imageSize: opts.image_size };
    checkClassifier(this.config, 'model');
    this.shapes = classifierShapes(this.config);
    this.finders = new Map(Object.entries(opts.attributes).map(([name, phrases]) => [name, new PhraseFinder(phrases)]));
    this.unseen = new Set(this.finders.keys());
  }

  /** Nothing to open: it starts from nothing. */
  async load(): Promise<void> {}

  /** Of the layout, for there are no frozen weights. */
  get fingerprint(): string {
    return createHash('sha256')
      .update(JSON.stringify(classifierJson(this.config)))
      .digest('hex');
  }

  get counts(): { readonly frozen: number; readonly trainable: number } {
    return { frozen: 0, trainable: totalSizeOf(this.shapes) };
  }

  parameters(): ReadonlyMap<string, Shape> {
    return this.shapes;
  }

  async initialValues(rng: Rng): Promise<Record<string, HostTensor>> {
    return classifierStart(this.shapes, rng);
  }

  /** `images` [B, 3, H, W] in [-1, 1]; per attribute `labels.<name>` [B, phrases], a 1 per row that is labelled. Class pictures are further rows. */
  async feeds(samples: readonly TrainSample[], { iteration, rng }: StepContext): Promise<Feeds> {
    const rows = samples.flatMap((s) => (s.prior ? [s, s.prior] : [s])),
      { augment } = this.opts,
      { imageSize } = this.config;
    const images = rows.map(({ img }, row) => {
      const [, H, W] = img.shape;
      if (H !== imageSize || W !== imageSize)
        throw new UserError(
          `model: pictures are ${W}x${H} pixels, this classifier takes ${imageSize}x${imageSize}; set model.image_size, or change Resize and crop of the dataset's pipeline`,
        );
      return augment.noise === 0 && augment.blur === 0
        ? img
        : float32(degrade(floats(img), [H, W], augment, rng.stream('degrade', iteration, row)), img.shape);
    });
    const labels = [...this.finders].map(([name, finder]) => {
      const found = rows.map(({ text }) => finder.find(text));
      if (found.some((label) => label !== undefined)) this.unseen.delete(name);
      return [`labels.${name}`, oneHot(found, finder.phrases.length)] as const;
    });
    this.warnOfUnseen(rows.map(({ text }) => text));
    return { images: stack(images), ...Object.fromEntries(labels) };
  }

  loss(feeds: Readonly<Record<string, TensorType>>): { loss: Tensor; logs: Record<string, Tensor> } {
    const of = (name: string): Tensor => input(name, feeds[name].shape),
      names = [...this.finders.keys()];
    const logits = classifierLogits(
      new Scope({ get: (name, shape) => parameter(name, shape) }),
      of('images'),
      this.config,
    );
    const targets = Object.fromEntries(names.map((name) => [name, of(`labels.${name}`)]));
    const logs = Object.fromEntries(
      names.map((name) => [`accuracy_${name}`, attributeAccuracy(logits[name], targets[name])]),
    );
    return { loss: attributeLoss(logits, targets), logs };
  }

  async *sample(): AsyncGenerator<HostTensor> {
    throw new UserError(
      'model: a classifier draws no pictures; remove the VisualizationHook (custom_hooks.preview: null)',
    );
  }

  /** Writes `classifier/`, which `openClassifier` opens. */
  async save(folder: string, values: Readonly<Record<string, HostTensor>>): Promise<void> {
    const target = join(folder, 'classifier');
    await mkdir(target, { recursive: true });
    await writeSafetensors(
      join(target, 'model.safetensors'),
      Object.fromEntries([...this.shapes.keys()].map((name) => [name, values[name]])),
      { format: 'pt' },
    );
    await writeFileAtomic(join(target, 'config.json'), `${JSON.stringify(classifierJson(this.config), null, 2)}\n`);
  }

  /** Phrases that no text has are mistyped more often than not. */
  private warnOfUnseen(texts: readonly string[]): void {
    const before = this.textsSeen;
    this.textsSeen += texts.length;
    if (before >= ENOUGH_TEXTS || this.textsSeen < ENOUGH_TEXTS) return;
    for (const name of this.unseen)
      this.log.warn(
        `model.attributes.${name}: none of the first ${this.textsSeen} texts has exactly one of its phrases, such as "${texts[0]}"; it is not learnt from them`,
      );
  }
}

declare module '../registry/kinds.js' {
  interface ModelMap {
    ImageClassifier: typeof ImageClassifier;
  }
}
