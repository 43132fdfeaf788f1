// Short runs of small networks: a warm-up of 100 iterations, then a half cosine down to 1 % over the whole run.
import { defineConfig } from 'diffengine';

export default defineConfig({
  optim_wrapper: {
    optimizer: { type: 'AdamW', lr: 1e-3, weight_decay: 1e-2 },
    clip_grad: { max_norm: 1.0 },
  },
  param_scheduler: [
    { type: 'LinearLR', start_factor: 0.01, end: 100 },
    { type: 'CosineAnnealingLR', begin: 100, eta_min: 1e-5 },
  ],
  default_hooks: { checkpoint: { type: 'CheckpointHook', interval: 250, max_keep_ckpts: 2 } },
  custom_hooks: { save: { type: 'PeftSaveHook' } },
});
