/** The registries, typed by what their components are. */
import type { Backend } from '../backends/backend.js';
import type { Dataset } from '../datasets/dataset.js';
import type { Sampler } from '../datasets/sampler.js';
import type { Transform } from '../datasets/transforms/transform.js';
import type { LrSchedule } from '../engine/lr_schedules/lr-schedule.js';
import type { Optimizer } from '../engine/optimizers/optimizer.js';
import type { Hook } from '../engine/hook.js';
import type { Metric } from '../evaluation/metrics/metric.js';
import type { Loss } from '../models/losses/loss.js';
import type { Model } from '../models/model.js';
import type { Noise } from '../models/noise/noise.js';
import type { Scheduler } from '../sampling/schedulers/scheduler.js';
import type { Timesteps } from '../models/timesteps/timesteps.js';
import type { KindName } from './kinds.js';
import { Registry } from './registry.js';

export const MODELS = new Registry<Model>('MODELS', 'model');
export const DATASETS = new Registry<Dataset>('DATASETS', 'dataset');
export const TRANSFORMS = new Registry<Transform>('TRANSFORMS', 'transform');
export const SAMPLERS = new Registry<Sampler>('SAMPLERS', 'sampler');
export const HOOKS = new Registry<Hook>('HOOKS', 'hook');
export const OPTIMIZERS = new Registry<Optimizer>('OPTIMIZERS', 'optimizer');
export const LR_SCHEDULES = new Registry<LrSchedule>('LR_SCHEDULES', 'learning rate schedule');
export const LOSSES = new Registry<Loss>('LOSSES', 'loss');
export const NOISE = new Registry<Noise>('NOISE', 'noise');
export const TIMESTEPS = new Registry<Timesteps>('TIMESTEPS', 'timesteps generator');
export const SCHEDULERS = new Registry<Scheduler>('SCHEDULERS', 'scheduler');
export const METRICS = new Registry<Metric>('METRICS', 'metric');
export const LOGGERS = new Registry<object>('LOGGERS', 'logger');
export const BACKENDS = new Registry<Backend>('BACKENDS', 'backend');

/** Every registry by kind. */
export const REGISTRIES: Readonly<Record<KindName, Registry>> = {
  MODELS, DATASETS, TRANSFORMS, SAMPLERS, HOOKS, OPTIMIZERS, LR_SCHEDULES,
  LOSSES, NOISE, TIMESTEPS, SCHEDULERS, METRICS, LOGGERS, BACKENDS,
};
