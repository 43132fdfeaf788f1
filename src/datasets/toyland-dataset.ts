import { inject } from 'inversify';
import { Rng, type RandomStream } from '../random/rng.js';
import { DATASETS } from '../registry/registries.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { BUILD, OPTIONS, type Build } from '../registry/tokens.js';
import { Dataset, type DatasetServices, type Sample } from './dataset.js';
import type { Pipeline, Source } from './pipeline.js';
import { buildPipeline, pipelineOption } from './pipeline-option.js';
import { caption } from './toyland/captions.js';
import { renderToyland } from './toyland/render.js';
import { sceneAt, SPLITS, type Scene } from './toyland/scene.js';

@DATASETS.register()
export class ToylandDataset extends Dataset {
  static readonly options = {
    description: 'Drawings of toys in settings, with captions, made as they are needed and the same each time.',
    type: 'object', additionalProperties: false,
    properties: {
      num_images: { type: 'integer', minimum: 1, default: 10_000, description: 'how many pictures there are' },
      seed: { type: 'integer', minimum: 0, default: 0, description: 'another seed gives other pictures' },
      split: { enum: SPLITS, default: 'train', description: 'train: without a tenth of the combinations of subject, colour and setting; held_out: those only' },
      size: { type: 'integer', minimum: 16, default: 64, description: 'pixels of a side' },
      pipeline: {
        ...pipelineOption, default: [{ type: 'ToTensor' }, { type: 'Normalize', mean: [0.5], std: [0.5] }, { type: 'PackInputs' }],
      },
    },
  } as const satisfies OptionsSchema;

  override readonly augmented: boolean;
  private readonly pipeline: Pipeline;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof ToylandDataset.options>, @inject(BUILD) build: Build) {
    super();
    this.pipeline = buildPipeline(opts.pipeline, build);
    this.augmented = this.pipeline.random;
  }

  override get length(): number { return this.opts.num_images; }

  /** Tries the pipeline on the first picture. */
  override async prepare({ logger }: DatasetServices): Promise<void> {
    const { num_images, split, seed, size } = this.opts;
    await this.get(0, new Rng(0).stream('check'));
    logger.info(`dataset: ${num_images} drawings of toyland (${split}, seed ${seed}), ${size}x${size}`);
  }

  /** What picture `index` shows. */
  scene(index: number): Scene {
    return sceneAt(this.opts.seed, index, this.opts.split);
  }

  /** The text of picture `index`, the same each time. */
  caption(index: number): string {
    return caption(this.scene(index), new Rng(this.opts.seed).stream('toyland caption', index));
  }

  /** Picture and text follow from the index; only the pipeline draws from `stream`. */
  override get(index: number, stream: RandomStream): Promise<Sample> {
    return this.pipeline.run(this.source(index), this.caption(index), stream);
  }

  private source(index: number): Source {
    const { seed, split, size } = this.opts;
    return {
      name: `toyland ${split} ${seed}, picture ${index}`,
      load: () => renderToyland(this.scene(index), new Rng(seed).stream('toyland picture', index), size),
    };
  }
}

declare module '../registry/kinds.js' { interface DatasetMap { ToylandDataset: typeof ToylandDataset } }
