/** The kinds of component. Each component adds its own name and class to the map of its kind (`declare module`). */
/* eslint-disable @typescript-eslint/no-empty-object-type -- filled by declaration merging where components are defined */
export interface ModelMap {}
export interface DatasetMap {}
export interface TransformMap {}
export interface SamplerMap {}
export interface HookMap {}
export interface VisBackendMap {}
export interface OptimizerMap {}
export interface LrScheduleMap {}
export interface LossMap {}
export interface NoiseMap {}
export interface TimestepsMap {}
export interface SchedulerMap {}
export interface MetricMap {}
export interface AdapterMap {}
export interface BackendMap {}

/** Hooks by the name that the built-in configs give them, e.g. `preview: 'VisualizationHook'`; scripts/link-component-types.mjs fills it. */
export interface NamedHooks {}
/* eslint-enable @typescript-eslint/no-empty-object-type */

export interface Kinds {
  MODELS: ModelMap;
  DATASETS: DatasetMap;
  TRANSFORMS: TransformMap;
  SAMPLERS: SamplerMap;
  HOOKS: HookMap;
  VISBACKENDS: VisBackendMap;
  OPTIMIZERS: OptimizerMap;
  LR_SCHEDULES: LrScheduleMap;
  LOSSES: LossMap;
  NOISE: NoiseMap;
  TIMESTEPS: TimestepsMap;
  SCHEDULERS: SchedulerMap;
  METRICS: MetricMap;
  ADAPTERS: AdapterMap;
  BACKENDS: BackendMap;
}
export type KindName = keyof Kinds;

/** In the order in which they are listed. */
export const KINDS = [
  'MODELS',
  'DATASETS',
  'TRANSFORMS',
  'SAMPLERS',
  'HOOKS',
  'VISBACKENDS',
  'OPTIMIZERS',
  'LR_SCHEDULES',
  'LOSSES',
  'NOISE',
  'TIMESTEPS',
  'SCHEDULERS',
  'METRICS',
  'ADAPTERS',
  'BACKENDS',
] as const satisfies readonly KindName[];
