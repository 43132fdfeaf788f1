/** The top level of a config; components are checked against their own schemas. */
import type { OptionsSchema } from './schema.js';

const hooks = (description: string) => ({ type: 'object', additionalProperties: { type: ['object', 'null'], component: 'HOOKS' }, default: {}, description }) as const;

export const configSchema = {
  description: 'A diffengine config.',
  type: 'object',
  additionalProperties: false,
  required: ['model', 'train_dataloader', 'optim_wrapper', 'train_cfg'],
  properties: {
    model: { type: 'object', component: 'MODELS', description: 'what is trained' },
    train_dataloader: {
      type: 'object', additionalProperties: false, required: ['dataset'], description: 'where training samples come from',
      properties: {
        batch_size: { type: 'integer', minimum: 1, default: 1, description: 'samples per iteration' },
        num_workers: { type: 'integer', minimum: 0, default: 1, description: 'batches prepared ahead' },
        drop_last: { type: 'boolean', default: false, description: 'whether an incomplete last batch counts in the length of an epoch' },
        dataset: { type: 'object', component: 'DATASETS', description: 'the samples' },
        sampler: { type: 'object', component: 'SAMPLERS', default: { type: 'InfiniteSampler' }, description: 'their order' },
      },
    },
    optim_wrapper: {
      type: 'object', additionalProperties: false, required: ['optimizer'], description: 'how parameters are updated',
      properties: {
        optimizer: { type: 'object', component: 'OPTIMIZERS', description: 'the update rule' },
        clip_grad: {
          type: 'object', additionalProperties: false, required: ['max_norm'], description: 'gradients are scaled down to this global norm',
          properties: { max_norm: { type: 'number', exclusiveMinimum: 0, description: 'L2 norm over all gradients' } },
        },
        accumulative_counts: { type: 'integer', minimum: 1, default: 1, description: 'iterations whose mean gradient makes one update' },
      },
    },
    param_scheduler: {
      anyOf: [{ type: 'object', component: 'LR_SCHEDULES' }, { type: 'array', items: { type: 'object', component: 'LR_SCHEDULES' } }],
      description: 'learning rate schedules, multiplied; default constant',
    },
    train_cfg: {
      type: 'object', additionalProperties: false, required: ['max_iters'], description: 'how long',
      properties: {
        type: { type: 'string', const: 'IterBasedTrainLoop', default: 'IterBasedTrainLoop', description: 'the loop' },
        max_iters: { type: 'integer', minimum: 1, description: 'iterations' },
      },
    },
    default_hooks: hooks('hooks of every run, by name'),
    custom_hooks: hooks('hooks of this run, by name'),
    backend: { type: 'object', component: 'BACKENDS', default: { type: 'OnnxRuntimeBackend' }, description: 'what computes' },
    randomness: {
      type: 'object', additionalProperties: false, default: {}, description: 'where chance starts',
      properties: { seed: { type: 'integer', minimum: 0, default: 0, description: 'equal seeds give equal runs' } },
    },
    work_dir: { type: 'string', description: 'folder of the run; default work_dirs/<config name>' },
    cache_dir: { type: 'string', description: 'folder for files that later runs reuse; default the user cache' },
    custom_imports: { type: 'array', items: { type: 'string' }, default: [], description: 'files that register your own components, relative to the config' },
  },
} as const satisfies OptionsSchema;
