// What every DreamBooth run on toyland shares: five pictures of 64 px, class pictures drawn by the model itself.
import { defineConfig, ref } from 'diffengine';
import evaluation from 'diffengine/configs/_base_/evaluation/toyland_subject';

export default defineConfig({
  _base_: evaluation,
  size: 64,
  train_dataloader: {
    batch_size: 4,
    num_workers: 1,
    dataset: {
      type: 'DreamBoothDataset',
      class_image: {
        model: ref('model.model'),
        num_images: 20,
        size: ref('size'),
        num_inference_steps: 20,
        guidance_scale: 4,
      },
      pipeline: [{ type: 'ToTensor' }, { type: 'Normalize', mean: [0.5], std: [0.5] }, { type: 'PackInputs' }],
    },
    sampler: { type: 'InfiniteSampler', shuffle: true },
  },
  optim_wrapper: {
    // How these, the iterations and the average below were chosen: docs/toyland.md.
    optimizer: { type: 'AdamW', lr: 1.75e-3, betas: [0.9, 0.99], weight_decay: 1e-2 },
    clip_grad: { max_norm: 1.0 },
  },
  train_cfg: { type: 'IterBasedTrainLoop', max_iters: 600 },
  default_hooks: { checkpoint: { type: 'CheckpointHook', interval: 100, max_keep_ckpts: 3, save_best: 'CLIP-IT' } },
  val_cfg: { height: ref('size'), width: ref('size') },
  custom_hooks: {
    ema: { type: 'EMAHook', momentum: 0.02 },
    preview: {
      type: 'VisualizationHook',
      interval: 250,
      height: ref('size'),
      width: ref('size'),
      num_inference_steps: 25,
      guidance_scale: 4,
      guidance_rescale: 0.7,
      scheduler: 'DDIMScheduler',
    },
    peft: { type: 'PeftSaveHook' },
    evaluation: {
      type: 'EvaluationHook',
      clip: 'package:assets/toyland-clip',
      metrics: [{ type: 'ClipImageScore' }, { type: 'ClipScore' }, { type: 'ClipBalance' }],
      num_images: 8,
      seeds: 3,
    },
    // Has its say when evaluation.interval is set.
    early_stopping: { type: 'EarlyStoppingHook', monitor: 'CLIP-IT', patience: 3 },
  },
});
