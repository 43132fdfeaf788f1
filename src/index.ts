/** The public API: what a program calls, configs, and what a component of your own needs. docs/api.md shows the first. */
export { train, type TrainOptions } from './library/train.js';
export { type TrainingRun } from './library/training-run.js';
export { type TrainResult } from './engine/runner.js';
export type * from './engine/run-events.js';
export { loadPipeline, type LoadPipelineOptions } from './library/load-pipeline.js';
export { type AdapterOptions, type DrawOptions, type Pipeline } from './library/pipeline.js';
export { type Picture } from './library/picture.js';
export { evaluate, type EvaluateOptions, type EvaluationResult } from './library/evaluate.js';
export { plan, type PlanOptions, type PlanResult } from './library/plan.js';
export { mergeLora, type MergeLoraOptions } from './library/merge-lora.js';
export { exportLora, type ExportFormat, type TargetLibraries, type ExportLoraOptions } from './library/export-lora.js';
export { type AdaptedModules } from './library/open-adapter.js';
export { exportPipeline, type ExportPipelineOptions, type ExportPipelineResult } from './library/export-pipeline.js';
export { push, type PushOptions, type PushResult } from './library/push.js';
export { exportOnnx, type ExportOnnxOptions, type ExportOnnxResult } from './library/export-onnx.js';
export { compress, type BlockRemoval, type CompressOptions, type CompressResult } from './library/compress.js';
export { convert, type ConvertOptions, type FloatType } from './library/convert.js';
export { makeModel, type MakeModelOptions } from './library/make-model.js';
export { describe } from './library/describe.js';
export { type ComponentDescription } from './registry/describe.js';
export { type CallOptions } from './library/call-options.js';
export { type ConfigOptions } from './library/open-config.js';
export { loadConfig, type LoadConfigOptions } from './library/load-config.js';
export { type LoadedConfig } from './registry/load-config.js';
export { type CfgOptions } from './registry/cfg-options.js';
export { ERROR_CODES, Interrupted, UserError, type ErrorCode, type UserErrorOptions } from './base/errors.js';
export { ConsoleLogger, type ConsoleLoggerOptions } from './loggers/console-logger.js';
export { defineConfig, type ConfigInput } from './registry/define-config.js';
export { ref } from './registry/ref.js';
/** One interface per kind: `declare module 'diffengine' { interface HookMap { MyHook: typeof MyHook } }` adds a component of your own. */
export type * from './registry/kinds.js';
export { BUILD, CACHE_DIR, LOGGER, OPTIONS, RNG, type Build } from './registry/tokens.js';
export { WORK_DIR } from './engine/work-dir.js';
export { type Logger, type Progress, type ProgressLogger } from './base/logger.js';
export type { Input, OptionsSchema, Output } from './registry/schema.js';
export { inject } from 'inversify';
export { Hook, HOOKS, type Priority } from './engine/hook.js';
export { VisBackend, VISBACKENDS, type VisImage, type VisRun } from './engine/vis-backend.js';
export type { RunState } from './engine/run-state.js';
export {
  Optimizer,
  OPTIMIZERS,
  type OwnState,
  type Part,
  type Update,
  type WholeUpdate,
} from './engine/optimizers/optimizer.js';
export { LR_SCHEDULES, LrSchedule } from './engine/lr_schedules/lr-schedule.js';
export { Dataset, DATASETS, type Captioned, type DatasetServices, type Sample } from './datasets/dataset.js';
export { buildPipeline, pipelineOption } from './datasets/pipeline-option.js';
export { fileSource, folderSources } from './datasets/sources.js';
export * as toyland from './datasets/toyland/world.js';
export { Sampler, SAMPLERS } from './datasets/sampler.js';
export { Transform, TRANSFORMS, type TransformSample } from './datasets/transforms/transform.js';
export {
  Metric,
  METRICS,
  type Evidence,
  type FeatureExtractor,
  type Need,
  type Rows,
} from './evaluation/metrics/metric.js';
export { buffer, Model, MODELS, type StepContext, type StepGraph, type TrainSample } from './models/model.js';
export { type SampleRequest, type WeightSet } from './sampling/sample-request.js';
export {
  AdapterKind,
  ADAPTERS,
  ModuleAdapter,
  type Leaf,
  type LycorisForm,
  type PartTensors,
  type PeftOptions,
  type TrainedModule,
} from './adapters/adapter-kind.js';
export { targetOption } from './adapters/targets.js';
export type { AdaptedLayer } from './networks/layers/scope.js';
export { Loss, LOSSES, type LossContext } from './models/losses/loss.js';
export { Noise, NOISE } from './models/noise/noise.js';
export { Timesteps, TIMESTEPS } from './models/timesteps/timesteps.js';
export { Scheduler, SCHEDULERS } from './sampling/schedulers/scheduler.js';
export {
  BACKEND,
  BACKENDS,
  type Backend,
  type Executable,
  type Feeds,
  type Fetches,
  type Program,
  type StateStore,
} from './backends/backend.js';
export { Rng, RandomStream } from './base/rng.js';
export {
  float32,
  floats,
  int32,
  scalar,
  sizeOf,
  zeros,
  type DType,
  type HostTensor,
  type Shape,
} from './tensor/host.js';
export * as ops from './tensor/ops.js';
export { grad } from './tensor/autodiff.js';
export {
  constant,
  dims,
  fill,
  input,
  parameter,
  state,
  weight,
  type Tensor,
  type TensorType,
} from './tensor/tensor.js';
export { definePrimitive } from './tensor/primitive.js';
