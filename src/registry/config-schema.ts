/** The top level of a config; components are checked against their own schemas. */
import { GUIDANCE_RESCALE, GUIDANCE_RESCALE_TEXT } from './guidance-rescale.js';
import type { OptionsSchema } from './schema.js';
import { PICTURE_SIDE } from './picture-side.js';

const hooks = (description: string) =>
  ({
    type: 'object',
    additionalProperties: { type: ['object', 'null'], component: 'HOOKS' },
    default: {},
    description,
  }) as const;

const pictures = (description: string) =>
  ({ anyOf: [{ type: 'string' }, { type: 'object', component: 'DATASETS' }], description }) as const;

/** What `diffengine eval` reads; names as in mmengine. */
const evaluationProperties = {
  val_dataloader: {
    type: 'object',
    additionalProperties: false,
    required: ['dataset'],
    description: 'pictures as they should be, for evaluation',
    properties: {
      dataset: pictures(
        'a dataset, whose texts are the prompts unless val_cfg.prompts gives others, or a folder of pictures',
      ),
    },
  },
  val_evaluator: {
    type: 'array',
    minItems: 1,
    items: { type: 'object', component: 'METRICS' },
    description: 'what is measured; default all that the given pictures allow',
  },
  val_cfg: {
    type: 'object',
    additionalProperties: false,
    default: {},
    description: 'how pictures are made and looked at for evaluation',
    properties: {
      clip: { type: 'string', description: "folder of a CLIP checkpoint in transformers' format" },
      prompts: {
        anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1 }],
        description: 'a file (.txt with one per line, .csv with a column prompt or text), or a list',
      },
      drop_tokens: {
        type: 'array',
        items: { type: 'string', minLength: 1 },
        default: ['sks'],
        description: 'words that CLIP is not shown, for it cannot know them',
      },
      instances: pictures('pictures of one subject, for ClipImageScore: a folder or a dataset'),
      num_images: {
        type: 'integer',
        minimum: 1,
        description: 'pictures per seed; prompts are repeated to make as many. Default one per prompt',
      },
      seeds: {
        anyOf: [
          { type: 'integer', minimum: 1 },
          { type: 'array', items: { type: 'integer', minimum: 0 }, minItems: 1 },
        ],
        default: 3,
        description: 'how many seeds (0, 1, ...), or which: every picture is made with each',
      },
      interval: {
        type: 'string',
        enum: ['seeds', 'bootstrap'],
        default: 'seeds',
        description: 'what 95 % intervals are over: seeds (Student t), or pictures drawn anew with repetition',
      },
      num_inference_steps: { type: 'integer', minimum: 1, default: 50, description: 'denoising steps per picture' },
      guidance_scale: {
        type: 'number',
        minimum: 0,
        default: 7.5,
        description: 'classifier-free guidance; 1 or less: without, twice as fast',
      },
      guidance_rescale: { ...GUIDANCE_RESCALE, default: 0, description: GUIDANCE_RESCALE_TEXT },
      negative_prompt: { type: 'string', default: '', description: 'what should not be in the pictures' },
      height: { ...PICTURE_SIDE, description: "pixels; default the model's own" },
      width: { ...PICTURE_SIDE, description: "pixels; default the model's own" },
      scheduler: { type: 'string', description: "sampler, such as DDIMScheduler; default the pipeline's own" },
    },
  },
} as const;

const backend = {
  type: 'object',
  component: 'BACKENDS',
  default: { type: 'OnnxRuntimeBackend' },
  description: 'what computes',
} as const;
const cacheDir = {
  type: 'string',
  description: 'folder for files that later runs reuse; default the user cache',
} as const;
const customImports = {
  type: 'array',
  items: { type: 'string' },
  default: [],
  description: 'files that register your own components, relative to the config',
} as const;

/** The part of a config that an evaluation reads. */
export const evaluationSchema = {
  description: 'An evaluation.',
  type: 'object',
  additionalProperties: false,
  properties: {
    ...evaluationProperties,
    backend,
    cache_dir: cacheDir,
    custom_imports: customImports,
  },
} as const satisfies OptionsSchema;

export const configSchema = {
  description: 'A diffengine config.',
  type: 'object',
  additionalProperties: false,
  required: ['model', 'train_dataloader', 'optim_wrapper', 'train_cfg'],
  properties: {
    model: { type: 'object', component: 'MODELS', description: 'what is trained' },
    train_dataloader: {
      type: 'object',
      additionalProperties: false,
      required: ['dataset'],
      description: 'where training samples come from',
      properties: {
        batch_size: { type: 'integer', minimum: 1, default: 1, description: 'samples per iteration' },
        num_workers: { type: 'integer', minimum: 0, default: 1, description: 'batches prepared ahead' },
        drop_last: {
          type: 'boolean',
          default: false,
          description: 'whether an incomplete last batch counts in the length of an epoch',
        },
        dataset: { type: 'object', component: 'DATASETS', description: 'the samples' },
        sampler: {
          type: 'object',
          component: 'SAMPLERS',
          default: { type: 'InfiniteSampler' },
          description: 'their order',
        },
      },
    },
    optim_wrapper: {
      type: 'object',
      additionalProperties: false,
      required: ['optimizer'],
      description: 'how parameters are updated',
      properties: {
        optimizer: { type: 'object', component: 'OPTIMIZERS', description: 'the update rule' },
        clip_grad: {
          type: 'object',
          additionalProperties: false,
          required: ['max_norm'],
          description: 'gradients are scaled down to this global norm',
          properties: { max_norm: { type: 'number', exclusiveMinimum: 0, description: 'L2 norm over all gradients' } },
        },
        accumulative_counts: {
          type: 'integer',
          minimum: 1,
          default: 1,
          description: 'iterations whose mean gradient makes one update',
        },
        type: {
          type: 'string',
          enum: ['OptimWrapper', 'AmpOptimWrapper'],
          default: 'OptimWrapper',
          description:
            'AmpOptimWrapper: convolutions and matrix products in float16, the rest and all weights in float32; for GPUs, a CPU is slower with it',
        },
        loss_scale: {
          anyOf: [
            { type: 'string', enum: ['dynamic'] },
            { type: 'number', exclusiveMinimum: 0 },
          ],
          description:
            'of AmpOptimWrapper: factor of the loss, so that small gradients survive 16 bits; dynamic (the default) finds it',
        },
      },
    },
    param_scheduler: {
      anyOf: [
        { type: 'object', component: 'LR_SCHEDULES' },
        { type: 'array', items: { type: 'object', component: 'LR_SCHEDULES' } },
      ],
      description: 'learning rate schedules, multiplied; default constant',
    },
    train_cfg: {
      type: 'object',
      additionalProperties: false,
      required: ['max_iters'],
      description: 'how long',
      properties: {
        type: { type: 'string', const: 'IterBasedTrainLoop', default: 'IterBasedTrainLoop', description: 'the loop' },
        max_iters: { type: 'integer', minimum: 1, description: 'iterations' },
      },
    },
    default_hooks: hooks('hooks of every run, by name'),
    custom_hooks: hooks('hooks of this run, by name'),
    visualizer: {
      type: 'object',
      additionalProperties: false,
      required: ['vis_backends'],
      description: 'where curves and pictures of the run go, beside its own log and report',
      properties: {
        type: { type: 'string', const: 'Visualizer', default: 'Visualizer', description: 'as mmengine calls it' },
        vis_backends: {
          type: 'array',
          items: { type: 'object', component: 'VISBACKENDS' },
          description: 'all of these',
        },
      },
    },
    ...evaluationProperties,
    backend,
    randomness: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'where chance starts',
      properties: { seed: { type: 'integer', minimum: 0, default: 0, description: 'equal seeds give equal runs' } },
    },
    work_dir: { type: 'string', description: 'folder of the run; default work_dirs/<config name>' },
    cache_dir: cacheDir,
    custom_imports: customImports,
  },
} as const satisfies OptionsSchema;
