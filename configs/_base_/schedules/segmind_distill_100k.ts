// segmind's distill-sd: 100,000 updates of 128 pairs each (32 batches of 4 here, 4 of 32 there), learning rate 1e-4, EMA.
import { defineConfig } from 'diffengine';

export default defineConfig({
  optim_wrapper: {
    optimizer: { type: 'AdamW', lr: 1e-4, weight_decay: 1e-2 },
    clip_grad: { max_norm: 1.0 },
    accumulative_counts: 32,
  },
  train_cfg: { type: 'IterBasedTrainLoop', max_iters: 100_000 * 32 },
  default_hooks: { checkpoint: { type: 'CheckpointHook', interval: 6400, max_keep_ckpts: 3 } },
  custom_hooks: { ema: { type: 'EMAHook', momentum: 1e-4 }, save: { type: 'PeftSaveHook' } },
});
