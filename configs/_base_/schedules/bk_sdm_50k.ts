// BK-SDM: 50,000 updates of 256 pairs each, a constant learning rate of 5e-5, EMA with 1e-4 of the weights of each update. The pairs of an update are 64 batches of 4 here, 4 of 64 there, which is the same mean.
import { defineConfig } from 'diffengine';

export default defineConfig({
  optim_wrapper: {
    optimizer: { type: 'AdamW', lr: 5e-5, weight_decay: 1e-2 },
    clip_grad: { max_norm: 1.0 },
    accumulative_counts: 64,
  },
  train_cfg: { type: 'IterBasedTrainLoop', max_iters: 50_000 * 64 },
  default_hooks: { checkpoint: { type: 'CheckpointHook', interval: 6400, max_keep_ckpts: 3 } },
  custom_hooks: { ema: { type: 'EMAHook', momentum: 1e-4 }, save: { type: 'PeftSaveHook' } },
});
