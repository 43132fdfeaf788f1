// DINO of toyland: a small vision transformer that learns from drawings without their texts.
import { defineConfig } from 'diffengine';
import dataset from 'diffengine/configs/_base_/datasets/toyland';
import runtime from 'diffengine/configs/_base_/default_runtime';
import schedule from 'diffengine/configs/_base_/schedules/from_scratch';

export default defineConfig({
  _base_: [dataset, schedule, runtime],
  model: { type: 'SelfDistillation', crops: { jitter: 0.2, grayscale: 0, blur: 0.2 } },
  train_cfg: { max_iters: 1000 },
  default_hooks: { checkpoint: { interval: 100, max_keep_ckpts: 4 } }, // toyland_dino_refine goes on from step699
  custom_hooks: { ema: { type: 'EMAHook', momentum: 4e-3 } },
});
