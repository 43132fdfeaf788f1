// CLIP of toyland, text and picture side, from scratch: `diffengine make-model toyland-clip --out work_dirs/toyland_clip_start` first.
import { defineConfig } from 'diffengine';
import dataset from 'diffengine/configs/_base_/datasets/toyland';
import runtime from 'diffengine/configs/_base_/default_runtime';
import schedule from 'diffengine/configs/_base_/schedules/from_scratch';

export default defineConfig({
  _base_: [dataset, schedule, runtime],
  model: { type: 'ContrastiveCLIP', model: 'work_dirs/toyland_clip_start' },
  train_dataloader: { batch_size: 64 },
  train_cfg: { max_iters: 1500 },
});
