import { defineConfig } from 'diffengine';

export default defineConfig({
  optim_wrapper: {
    optimizer: { type: 'AdamW', lr: 1e-4, weight_decay: 1e-2 },
    clip_grad: { max_norm: 1.0 },
  },
  train_cfg: { type: 'IterBasedTrainLoop', max_iters: 1000 },
  default_hooks: { checkpoint: { type: 'CheckpointHook', interval: 100, max_keep_ckpts: 3 } },
});
