import { inject } from 'inversify';
import type { RandomStream } from '../base/rng.js';
import { DATASETS, Dataset, type ClassDrawing, type DatasetServices, type Sample } from './dataset.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { BUILD, OPTIONS, type Build } from '../registry/tokens.js';
import type { Shape } from '../tensor/host.js';
import { checkPictures } from './check.js';
import { cachedClassImages } from './class-images.js';
import type { Pipeline, Source } from './pipeline.js';
import { buildPipeline, pipelineOption } from './pipeline-option.js';
import { folderSources } from './sources.js';
import { heightWidth, sizeOption } from './transforms/size.js';

@DATASETS.register()
export class DreamBoothDataset extends Dataset {
  static readonly options = {
    description:
      'A few pictures of one subject, all with the same prompt, and optionally class pictures for prior preservation.',
    type: 'object',
    additionalProperties: false,
    required: ['dataset', 'instance_prompt', 'pipeline'],
    properties: {
      dataset: { type: 'string', description: 'folder, or dataset id on the hub, with pictures of the subject' },
      instance_prompt: {
        type: 'string',
        description: 'text for every picture, with a rare word for the subject: "a photo of sks dog"',
      },
      class_prompt: {
        type: ['string', 'null'],
        default: null,
        description: 'text of the class pictures: "a photo of dog"; null: no prior preservation',
      },
      class_image: {
        type: 'object',
        additionalProperties: false,
        default: {},
        description: 'where class pictures come from; read only with a class_prompt',
        properties: {
          model: {
            type: ['string', 'null'],
            default: null,
            description: 'pipeline that makes them; null: the model being trained, before training',
          },
          num_images: {
            type: 'integer',
            minimum: 1,
            default: 200,
            description: 'how many to make; made once and kept in the cache',
          },
          data_dir: {
            type: ['string', 'null'],
            default: null,
            description: 'folder of your own class pictures, used instead; nothing is written there',
          },
          size: {
            ...sizeOption,
            default: 512,
            description: 'pixels of those made: a side of a square, or [height, width]',
          },
          num_inference_steps: { type: 'integer', minimum: 1, default: 50, description: 'denoising steps of each' },
          guidance_scale: {
            type: 'number',
            default: 7.5,
            description: 'classifier-free guidance; 1 or less is without',
          },
          scheduler: {
            type: ['string', 'null'],
            default: null,
            description: "sampler, such as DDIMScheduler; null: the pipeline's own",
          },
          seed: {
            type: ['integer', 'null'],
            minimum: 0,
            default: null,
            description: 'seed of the first one; null: the seed of the run',
          },
        },
      },
      pipeline: pipelineOption,
    },
  } as const satisfies OptionsSchema;

  override readonly augmented: boolean;
  private readonly pipeline: Pipeline;
  private instances: readonly Source[] = [];
  private classes: readonly Source[] = [];

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof DreamBoothDataset.options>,
    @inject(BUILD) build: Build,
  ) {
    super();
    this.pipeline = buildPipeline(opts.pipeline, build);
    this.augmented = this.pipeline.random;
  }

  override get length(): number {
    return this.instances.length;
  }

  override classDrawing(): ClassDrawing | undefined {
    const { model, data_dir, scheduler, num_inference_steps: steps } = this.opts.class_image;
    if (this.opts.class_prompt === null || data_dir !== null) return undefined;
    const keys = { scheduler: 'class_image.scheduler', steps: 'class_image.num_inference_steps' };
    return { model: model ?? undefined, scheduler: scheduler ?? undefined, steps, keys };
  }

  /** @throws UserError when there are no pictures, or one is unreadable or does not suit the pipeline */
  override async prepare(services: DatasetServices): Promise<void> {
    this.instances = await folderSources(await services.resolveDataset(this.opts.dataset), services.logger);
    await this.check(this.instances, this.opts.instance_prompt, services);
    services.logger.info(
      `dataset: ${this.instances.length} pictures of "${this.opts.instance_prompt}" from ${this.opts.dataset}`,
    );
    if (this.opts.class_prompt !== null) this.classes = await this.classSources(this.opts.class_prompt, services);
  }

  override shapeOf(index: number): Promise<Shape> {
    return this.pipeline.shapeOf(this.instances[index], this.opts.instance_prompt);
  }

  /** Takes the class picture at random, so that batches mix the two sets differently each round. */
  override async get(index: number, stream: RandomStream): Promise<Sample> {
    const instance = await this.pipeline.run(this.instances[index], this.opts.instance_prompt, stream);
    const { class_prompt } = this.opts;
    if (class_prompt === null) return instance;
    const picked = this.classes[stream.int(0, this.classes.length)];
    return { ...instance, prior: await this.pipeline.run(picked, class_prompt, stream) };
  }

  private async classSources(prompt: string, services: DatasetServices): Promise<Source[]> {
    const {
      model,
      num_images,
      data_dir,
      size,
      seed,
      num_inference_steps: steps,
      guidance_scale: guidance,
      scheduler,
    } = this.opts.class_image;
    if (data_dir !== null) {
      const own = await folderSources(data_dir, services.logger);
      await this.check(own, prompt, services);
      return own;
    }
    const [height, width] = heightWidth(size);
    const made = await cachedClassImages(
      {
        model: model ?? undefined,
        prompt,
        seed: seed ?? services.seed,
        count: num_images,
        height,
        width,
        steps,
        guidance,
        scheduler: scheduler ?? undefined,
      },
      services,
    );
    await this.check(made, prompt, services);
    return made;
  }

  private check(sources: readonly Source[], text: string, services: DatasetServices): Promise<void> {
    return checkPictures(
      sources.map((source) => ({ source, text })),
      this.pipeline,
      services,
    );
  }
}

declare module '../registry/kinds.js' {
  interface DatasetMap {
    DreamBoothDataset: typeof DreamBoothDataset;
  }
}
