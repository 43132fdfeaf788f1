// The U-Net of toyland, from scratch, on the autoencoder and the texts of its CLIP:
//   diffengine make-model toyland --vae work_dirs/toyland_vae --clip work_dirs/toyland_clip --out work_dirs/toyland_base
import { defineConfig } from 'diffengine';
import dataset from 'diffengine/configs/_base_/datasets/toyland';
import evaluation from 'diffengine/configs/_base_/evaluation/toyland';
import preview from 'diffengine/configs/_base_/datasets/toyland_preview';
import runtime from 'diffengine/configs/_base_/default_runtime';
import schedule from 'diffengine/configs/_base_/schedules/from_scratch';

export default defineConfig({
  _base_: [dataset, evaluation, preview, schedule, runtime],
  model: { type: 'StableDiffusion', model: 'work_dirs/toyland_base', init: 'random', caption_dropout: 0.1 },
  train_dataloader: { batch_size: 32 },
  train_cfg: { max_iters: 3600 },
  custom_hooks: {
    ema: { type: 'EMAHook', momentum: 2e-3, begin_iter: 200 },
  },
});
