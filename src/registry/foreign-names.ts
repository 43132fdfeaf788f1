/** Names of mmengine's and Python DiffEngine's configs that have another one here, or none: docs/migration.md. */

const SEE = 'see docs/migration.md';

/** By the last keys of a path. */
const OPTIONS: Readonly<Record<string, string>> = {
  default_scope: 'components are found by their names alone here; leave it out',
  env_cfg: 'there are no settings of CUDA and processes here; leave it out, backend.device says what computes',
  log_processor:
    'everything counts iterations here; leave it out, default_hooks.logger.interval says how often a line is written',
  log_level: 'leave it out; --debug shows more lines',
  load_from: 'leave it out; --resume <checkpoint> goes on from one',
  resume: 'leave it out; the option --resume of the command goes on with a run',
  launcher: 'leave it out; it is no part of a config here',
  test_dataloader: 'evaluation reads val_dataloader, val_evaluator and val_cfg; leave it out',
  test_evaluator: 'evaluation reads val_dataloader, val_evaluator and val_cfg; leave it out',
  test_cfg: 'evaluation reads val_dataloader, val_evaluator and val_cfg; leave it out',
  train_pipeline: 'write the list where it is used, as train_dataloader.dataset.pipeline',
  'train_cfg.val_interval': 'evaluation is a hook here: custom_hooks.evaluation.interval of EvaluationHook',
  'train_cfg.val_begin': 'evaluation is a hook here: custom_hooks.evaluation.interval of EvaluationHook',
  'train_cfg.max_epochs': 'runs count iterations: train_cfg.max_iters',
  'train_cfg.by_epoch': 'runs count iterations; leave it out',
  'train_dataloader.persistent_workers': 'batches are prepared in this process; leave it out',
  'train_dataloader.pin_memory': 'batches are prepared in this process; leave it out',
  'train_dataloader.collate_fn': 'samples of one shape become a batch by themselves; leave it out',
  'optim_wrapper.dtype':
    "AmpOptimWrapper computes products in float16; leave it out, type: 'OptimWrapper' computes in float32",
  'randomness.deterministic': 'runs always are; leave it out',
  'dataset.class_image_config': 'it is called class_image here',
  'dataset.csv': 'ImageFolderDataset finds metadata.csv in its folder; leave it out',
  'model.lora_config': "it is called unet_lora_config here: { type: 'LoRA', r: 8, lora_alpha: 8 }",
  'unet_lora_config.rank': 'it is called r here, as in PEFT',
  'unet_lora_config.alpha': 'it is called lora_alpha here, as in PEFT',
};

/** By the name of a component. */
const COMPONENTS: Readonly<Record<string, string>> = {
  HFDreamBoothDataset: 'it is called DreamBoothDataset here',
  HFDataset: 'ImageFolderDataset reads pictures with texts here',
  TorchVisonTransformWrapper: "transforms need no wrapper here: { type: 'Resize', size: 512 }",
  TorchVisionTransformWrapper: "transforms need no wrapper here: { type: 'Resize', size: 512 }",
  IterTimerHook: 'LoggerHook measures time; leave it out',
  RuntimeInfoHook: 'LoggerHook logs the numbers of an iteration; leave it out',
  ParamSchedulerHook: 'param_scheduler needs no hook here; leave it out',
  DistSamplerSeedHook: 'the order of samples needs no hook here; leave it out',
  SDCheckpointHook: 'CheckpointHook saves what is trained, PeftSaveHook as pipelines and PEFT have it',
  StableDiffusionXL: 'Stable Diffusion 1.x and 2.x layouts are supported, XL is not',
};

/** @param path of an unknown option @returns a fix, or undefined for a name that mmengine does not have either */
export function foreignOption(path: string): string | undefined {
  const keys = path.split('.'),
    found = keys.length === 1 ? OPTIONS[path] : OPTIONS[keys.slice(-2).join('.')];
  return found && `${found}; ${SEE}`;
}

export function foreignComponent(type: string): string | undefined {
  const torchvision = /^torchvision\/(\w+)$/.exec(type)?.[1],
    found = torchvision
      ? `it is called ${torchvision} here`
      : Object.hasOwn(COMPONENTS, type)
        ? COMPONENTS[type]
        : undefined;
  return found && `${found}; ${SEE}`;
}

/** @param path of a value that should be an object @returns how to write hooks, when they are a list */
export function hooksAsList(path: string, value: unknown): string | undefined {
  if (!/^(default|custom)_hooks$/.test(path) || !Array.isArray(value)) return undefined;
  const names = value.map((hook, i) => {
    const type = String((hook as { type?: unknown } | null)?.type ?? 'VisualizationHook');
    return `${type.replace(/Hook$/, '').toLowerCase() || `hook${i}`}: { type: '${type}', ... }`;
  });
  return `hooks have names here, so that a config that inherits can change one; write ${path}: { ${names.join(', ')} }; ${SEE}`;
}

/** Of a config in Python. */
export const PYTHON_CONFIG = `written for Python, which does not run here; write the same keys in TypeScript or YAML, ${SEE}`;
