import { inject } from 'inversify';
import type { RandomStream } from '../base/rng.js';
import { DATASETS, Dataset, type ClassDrawing, type DatasetServices, type Sample } from './dataset.js';
import { GUIDANCE_RESCALE, GUIDANCE_RESCALE_TEXT } from '../registry/guidance-rescale.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { BUILD, OPTIONS, type Build } from '../registry/tokens.js';
import type { Shape } from '../tensor/host.js';
import { checkPictures, type Candidate } from './check.js';
import { cachedClassImages } from './class-images.js';
import type { Pipeline } from './pipeline.js';
import { buildPipeline, pipelineOption } from './pipeline-option.js';
import { captionedSources } from './sources.js';
import { heightWidth, sizeOption } from './transforms/size.js';

@DATASETS.register()
export class DreamBoothDataset extends Dataset {
  static readonly options = {
    description:
      'A few pictures of one subject, with one prompt for all or a text for each, and optionally class pictures for prior preservation.',
    type: 'object',
    additionalProperties: false,
    required: ['dataset', 'instance_prompt', 'pipeline'],
    properties: {
      dataset: { type: 'string', description: 'folder, or dataset id on the hub, with pictures of the subject' },
      instance_prompt: {
        type: 'string',
        description: 'text for every picture, with a rare word for the subject: "a photo of sks dog"',
      },
      caption_extension: {
        type: ['string', 'null'],
        default: null,
        pattern: '^\\.[^./]+$',
        description:
          'read texts from files beside the pictures: ".txt" or ".caption", as kohya\'s scripts do; a picture without one has the instance_prompt',
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
          guidance_rescale: { ...GUIDANCE_RESCALE, default: 0, description: GUIDANCE_RESCALE_TEXT },
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
  private instances: readonly Candidate[] = [];
  private classes: readonly Candidate[] = [];

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
    const { dataset, instance_prompt, caption_extension, class_prompt } = this.opts,
      { logger } = services;
    const folder = await services.resolveDataset(dataset);
    this.instances = await captionedSources(folder, caption_extension, instance_prompt, logger);
    await checkPictures(this.instances, this.pipeline, services);
    const texts = caption_extension === null ? '' : `, with texts from ${caption_extension} files`;
    logger.info(`dataset: ${this.instances.length} pictures of "${instance_prompt}" from ${dataset}${texts}`);
    if (class_prompt !== null) this.classes = await this.classSources(class_prompt, services);
  }

  override shapeOf(index: number): Promise<Shape> {
    const { source, text } = this.instances[index];
    return this.pipeline.shapeOf(source, text);
  }

  /** Takes the class picture at random, so that batches mix the two sets differently each round. */
  override async get(index: number, stream: RandomStream): Promise<Sample> {
    const { source, text } = this.instances[index],
      instance = await this.pipeline.run(source, text, stream);
    if (this.opts.class_prompt === null) return instance;
    const picked = this.classes[stream.int(0, this.classes.length)];
    return { ...instance, prior: await this.pipeline.run(picked.source, picked.text, stream) };
  }

  private async classSources(prompt: string, services: DatasetServices): Promise<readonly Candidate[]> {
    const {
      model,
      num_images,
      data_dir,
      size,
      seed,
      num_inference_steps: steps,
      guidance_scale: guidance,
      guidance_rescale: rescale,
      scheduler,
    } = this.opts.class_image;
    if (data_dir !== null) {
      const own = await captionedSources(data_dir, null, prompt, services.logger);
      await checkPictures(own, this.pipeline, services);
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
        rescale: rescale > 0 ? rescale : undefined,
        scheduler: scheduler ?? undefined,
      },
      services,
    );
    const described = made.map((source) => ({ source, text: prompt }));
    await checkPictures(described, this.pipeline, services);
    return described;
  }
}

declare module '../registry/kinds.js' {
  interface DatasetMap {
    DreamBoothDataset: typeof DreamBoothDataset;
  }
}
