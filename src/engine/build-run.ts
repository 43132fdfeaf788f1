/** From a merged, validated config to the parts of a run. */
import { DataLoader } from '../datasets/loader.js';
import type { Backend } from '../backends/backend.js';
import { type DatasetServices, DATASETS } from '../datasets/dataset.js';
import type { Rng } from '../base/rng.js';
import type { Collectives } from '../collectives/collectives.js';
import { HOOKS } from './hook.js';
import { LR_SCHEDULES } from './lr_schedules/lr-schedule.js';
import { MODELS } from '../models/model.js';
import { OPTIMIZERS } from './optimizers/optimizer.js';
import { SAMPLERS } from '../datasets/sampler.js';
import type { Build } from '../registry/tokens.js';
import type { Logger } from '../base/logger.js';
import type { LossScaleSetting } from './loss-scale.js';
import type { EmitEvent } from './run-events.js';
import type { RunParts } from './run-parts.js';
import { VISBACKENDS } from './vis-backend.js';
import { Visualizer } from './visualizer.js';
import type { WorkDir } from './work-dir.js';

interface Component {
  readonly type: string;
  readonly [option: string]: unknown;
}

/** The part of a config that a run is built from; names as in mmengine. */
export interface RunConfig {
  readonly model: Component;
  readonly train_dataloader: {
    readonly batch_size: number;
    readonly num_workers?: number;
    readonly drop_last?: boolean;
    readonly dataset: Component;
    readonly sampler?: Component;
  };
  readonly optim_wrapper: {
    readonly optimizer: Component;
    readonly clip_grad?: { readonly max_norm: number };
    readonly accumulative_counts?: number;
    readonly type?: 'OptimWrapper' | 'AmpOptimWrapper';
    readonly loss_scale?: LossScaleSetting;
  };
  readonly param_scheduler?: Component | readonly Component[];
  readonly train_cfg: { readonly max_iters: number };
  readonly default_hooks?: Readonly<Record<string, Component | null>>;
  readonly custom_hooks?: Readonly<Record<string, Component | null>>;
  readonly visualizer?: { readonly vis_backends: readonly Component[] };
}

export interface RunServices {
  readonly build: Build;
  readonly backend: Backend;
  readonly workDir: WorkDir;
  readonly ranks?: Collectives;
  readonly rng: Rng;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly emit?: EmitEvent | undefined;
  readonly datasetServices: Pick<DatasetServices, 'cacheDir' | 'resolveDataset'>;
}

export function buildRun(config: RunConfig, { build, ...services }: RunServices): RunParts {
  const { train_dataloader: loader, optim_wrapper: optim } = config;
  const sampler = build(SAMPLERS, loader.sampler ?? { type: 'InfiniteSampler' });
  const hooks = (['default_hooks', 'custom_hooks'] as const).flatMap((group) =>
    Object.entries(config[group] ?? {}).flatMap(([name, hook]) =>
      hook === null ? [] : [{ at: `${group}.${name}`, hook: build(HOOKS, hook) }],
    ),
  );
  const plain = config as unknown as Readonly<Record<string, unknown>>;
  const backends = (config.visualizer?.vis_backends ?? []).map((backend) => build(VISBACKENDS, backend)),
    isFirst = (services.ranks?.rank ?? 0) === 0, // who writes
    visualizer = isFirst && backends.length > 0 ? new Visualizer(backends, services.log) : undefined;
  const emit: EmitEvent = (event) => {
    services.emit?.(event);
    visualizer?.hear(event);
  };
  return {
    ...services,
    emit,
    config: plain,
    model: build(MODELS, config.model),
    optimizer: build(OPTIMIZERS, optim.optimizer),
    clipMaxNorm: optim.clip_grad?.max_norm,
    accumulativeCounts: optim.accumulative_counts ?? 1,
    lossScale: optim.type === 'AmpOptimWrapper' ? (optim.loss_scale ?? 'dynamic') : undefined,
    schedules: [config.param_scheduler ?? []].flat().map((schedule) => build(LR_SCHEDULES, schedule)),
    loader: new DataLoader(
      { batch_size: loader.batch_size, num_workers: loader.num_workers ?? 1, drop_last: loader.drop_last ?? false },
      build(DATASETS, loader.dataset),
      sampler,
      services.rng,
      services.ranks,
    ),
    hooks: [...hooks.map(({ hook }) => hook), ...(visualizer ? [visualizer] : [])],
    drawings: hooks.flatMap(({ at, hook }) => {
      const drawn = hook.drawnBy(plain);
      return drawn ? [{ ...drawn, keys: { scheduler: `${at}.scheduler`, steps: `${at}.num_inference_steps` } }] : [];
    }),
    maxIters: config.train_cfg.max_iters,
    otherModel: (idOrPath) =>
      idOrPath === config.model['model'] ? undefined : build(MODELS, { type: config.model.type, model: idOrPath }),
  };
}
