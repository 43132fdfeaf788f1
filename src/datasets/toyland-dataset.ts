import { inject } from 'inversify';
import { UserError } from '../base/errors.js';
import { Rng, type RandomStream } from '../base/rng.js';
import { DATASETS, Dataset, type DatasetServices, type Sample } from './dataset.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { BUILD, OPTIONS, type Build } from '../registry/tokens.js';
import type { Pipeline } from './pipeline.js';
import { buildPipeline, pipelineOption } from './pipeline-option.js';
import { classOf, INSTANCES, NEW_SETTINGS, renderInstance } from './toyland/instances.js';
import { randomPaint } from './toyland/paint.js';
import {
  ALL,
  alikeSceneAt,
  captionOf,
  fullCaption,
  hasScenes,
  sceneAt,
  sightingAt,
  type Choice,
  type Scene,
} from './toyland/scene.js';
import { renderPainted, renderToyland } from './toyland/render.js';
import { SETTINGS, SUBJECTS } from './toyland/world.js';

/** An option that narrows a list. */
const someOf = <const Word extends string>(words: readonly Word[], description: string) =>
  ({
    type: ['array', 'null'],
    items: { type: 'string', enum: words },
    minItems: 1,
    uniqueItems: true,
    default: null,
    description,
  }) as const;

type Options = Output<typeof ToylandDataset.options>;

@DATASETS.register()
export class ToylandDataset extends Dataset {
  static readonly options = {
    description:
      'Drawings with captions, made as they are needed: twelve subjects in eight colours and ten settings, with patterns, hats and bows.',
    type: 'object',
    additionalProperties: false,
    required: ['pipeline'],
    properties: {
      num_images: { type: 'integer', minimum: 1, default: 12_000, description: 'pictures in one round' },
      seed: { type: 'integer', minimum: 0, default: 0, description: 'equal seeds give equal pictures' },
      split: {
        type: 'string',
        enum: ['train', 'held_out', 'all'],
        default: 'train',
        description: 'train lacks one setting of each pair of subject and colour, held_out has only those',
      },
      captions: {
        type: 'string',
        enum: ['varied', 'full'],
        default: 'varied',
        description: 'varied: some leave something out, as people do; full: all that can be seen but the size',
      },
      alike: {
        type: 'integer',
        minimum: 1,
        maximum: 10,
        default: 1,
        description:
          'so many pictures in a row differ in their subject alone (1: none): in a batch of them, read without shuffling, colour and setting do not tell which caption is whose',
      },
      subjects: someOf(SUBJECTS, 'these subjects alone; null: all twelve'),
      settings: someOf(SETTINGS, 'these settings alone; null: all ten'),
      sightings: {
        type: 'integer',
        minimum: 0,
        maximum: SETTINGS.length,
        default: 0,
        description:
          'so many pictures in a row show one subject, each in another setting, painted in colours and with marks that no caption has words for (0: ordinary drawings); read without shuffling, as frames of one film',
      },
      painted: {
        type: 'number',
        minimum: 0,
        maximum: 1,
        default: 0,
        description:
          'share of the pictures whose subject is painted in any colours, with marks: "a photo of a dog on grass", as no caption has words for the paint; for networks that shall know more than eight colours',
      },
      instance: {
        type: ['string', 'null'],
        enum: [...INSTANCES, null],
        default: null,
        description:
          'draw this subject of the DreamBooth pictures, in the settings that they do not show, one after the other: what a model that learned it should draw',
      },
      size: { type: 'integer', minimum: 8, default: 64, description: 'pixels of either side' },
      pipeline: pipelineOption,
    },
  } as const satisfies OptionsSchema;

  override readonly augmented: boolean;
  private readonly pipeline: Pipeline;
  private readonly rng: Rng;
  private readonly choice: Choice;

  constructor(
    @inject(OPTIONS) private readonly opts: Options,
    @inject(BUILD) build: Build,
  ) {
    super();
    this.pipeline = buildPipeline(opts.pipeline, build);
    this.augmented = this.pipeline.random;
    if (opts.alike > 1 && opts.split === 'held_out')
      throw new UserError(
        `ToylandDataset: alike is ${opts.alike}, and the split held_out has a subject or two of each colour and setting; set split to train or all, or leave alike out`,
      );
    this.choice = { subjects: opts.subjects ?? ALL.subjects, settings: opts.settings ?? ALL.settings };
    this.checkChoice(opts);
    this.rng = new Rng(opts.seed);
  }

  /** @throws UserError where options contradict each other, or leave nothing to draw */
  private checkChoice({ subjects, settings, alike, instance, sightings, painted, split }: Options): void {
    const picked = [
      alike > 1 && 'alike',
      sightings > 0 && 'sightings',
      painted > 0 && 'painted',
      instance !== null && 'instance',
    ].filter((name) => name !== false);
    if (picked.length > 1)
      throw new UserError(
        `ToylandDataset: ${picked.join(' and ')} are given, and each says what is drawn; leave all but one out`,
      );
    const given = subjects !== null ? 'subjects' : settings !== null ? 'settings' : undefined;
    if (given !== undefined && (alike > 1 || instance !== null))
      throw new UserError(
        `ToylandDataset: ${given} is given beside ${alike > 1 ? 'alike' : 'instance'}, which says itself what is drawn; leave one out`,
      );
    if (sightings > this.choice.settings.length)
      throw new UserError(
        `ToylandDataset.sightings: ${sightings} pictures of a subject, each in another setting, and settings has ${this.choice.settings.length}; ask for so many at most`,
      );
    if (sightings === 0 && !hasScenes(split, this.choice))
      throw new UserError(
        `ToylandDataset: no ${this.choice.subjects.join(', ')} ${this.choice.settings.join(', ')} is in the split ${split}; name more subjects or settings, or set split to all`,
      );
  }

  override get length(): number {
    return this.opts.num_images;
  }

  override async prepare({ logger }: DatasetServices): Promise<void> {
    await this.get(0, new Rng(0).stream('check'));
    logger.info(`dataset: ${this.length} pictures of toyland, split ${this.opts.split}, seed ${this.opts.seed}`);
  }

  override get(index: number, stream: RandomStream): Promise<Sample> {
    const { seed, split, size, captions, instance, alike, sightings, painted, subjects, settings } = this.opts;
    const known = ['toyland', seed, ...(subjects ?? []), ...(settings ?? [])].join(' ');
    if (instance !== null) {
      const setting = NEW_SETTINGS[index % NEW_SETTINGS.length],
        drawn = () => renderInstance(instance, setting, this.rng.stream(`toyland ${instance} new`, index), size);
      return this.pipeline.run(
        { name: `toyland ${seed} ${instance} ${size} ${index}`, load: drawn },
        `a photo of sks ${classOf(instance)} ${setting}`,
        stream,
      );
    }
    if (sightings > 0) {
      const sighting = sightingAt(this.rng, index, sightings, this.choice),
        name = `${known} sightings ${sightings} ${size} ${index}`;
      return this.painted(name, sighting, Math.floor(index / sightings), index, stream);
    }
    const scene =
      split === 'held_out' || alike === 1
        ? sceneAt(this.rng, index, split, this.choice)
        : alikeSceneAt(this.rng, index, split, alike);
    if (painted > 0 && this.rng.stream('toyland painted', index).uniform() < painted)
      return this.painted(`${known} ${split} painted ${size} ${index}`, scene, index, index, stream);
    const text =
      captions === 'full'
        ? fullCaption({ ...scene, size: '' })
        : captionOf(scene, this.rng.stream('toyland caption', index));
    const load = () => renderToyland(scene, this.rng.stream('toyland picture', index), size);
    return this.pipeline.run(
      { name: `${known} ${split}${alike === 1 ? '' : ` alike ${alike}`} ${size} ${index}`, load },
      text,
      stream,
    );
  }

  /** A subject in colours and with marks that its caption has no words for. @param paint which of all paints */
  private painted(
    name: string,
    { subject, setting }: Pick<Scene, 'subject' | 'setting'>,
    paint: number,
    index: number,
    stream: RandomStream,
  ): Promise<Sample> {
    const look = randomPaint(this.rng.stream('toyland paint', paint)),
      load = () => renderPainted(subject, look, setting, this.rng.stream('toyland picture', index), this.opts.size);
    return this.pipeline.run({ name, load }, `a photo of a ${subject} ${setting}`, stream);
  }
}

declare module '../registry/kinds.js' {
  interface DatasetMap {
    ToylandDataset: typeof ToylandDataset;
  }
}
