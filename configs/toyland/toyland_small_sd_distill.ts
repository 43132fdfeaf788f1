// BK-SDM on toyland: the student with segmind small-sd's layout (BK-SDM Base) learns from the teacher.
import { defineConfig } from 'diffengine';
import dataset from 'diffengine/configs/_base_/datasets/toyland';
import evaluation from 'diffengine/configs/_base_/evaluation/toyland';
import preview from 'diffengine/configs/_base_/datasets/toyland_preview';
import runtime from 'diffengine/configs/_base_/default_runtime';
import schedule from 'diffengine/configs/_base_/schedules/from_scratch';

export default defineConfig({
  _base_: [dataset, evaluation, preview, schedule, runtime],
  model: {
    type: 'DistillSD',
    model: 'package:assets/toyland-sd',
    block_removal: 'base',
    caption_dropout: 0.1,
  },
  train_dataloader: { dataset: { painted: 0.25 } },
  optim_wrapper: { optimizer: { lr: 5e-4 } },
  train_cfg: { max_iters: 1500 },
  custom_hooks: { ema: { type: 'EMAHook', momentum: 5e-3, begin_iter: 100 } },
});
