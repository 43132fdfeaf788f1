// The picture autoencoder of toyland, from scratch: `diffengine make-model toyland --out work_dirs/toyland_start` first.
import { defineConfig } from 'diffengine';
import dataset from 'diffengine/configs/_base_/datasets/toyland';
import runtime from 'diffengine/configs/_base_/default_runtime';
import schedule from 'diffengine/configs/_base_/schedules/from_scratch';

export default defineConfig({
  _base_: [dataset, schedule, runtime],
  model: { type: 'AutoencoderKL', model: 'work_dirs/toyland_start', init: 'random' },
  train_dataloader: { batch_size: 16 },
  train_cfg: { max_iters: 2500 },
});
