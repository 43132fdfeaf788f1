// The U-Net of toyland, from scratch, on the autoencoder and the texts that toyland_vae_refine_2 and toyland_clip_refine leave:
//   diffengine make-model toyland --vae work_dirs/toyland_vae_refine_2 --clip work_dirs/toyland_clip_refine --out work_dirs/toyland_base
// It predicts v and starts from noise alone, as the scheduler of its pipeline says (arXiv 2202.00512, 2305.08891).
import { defineConfig } from 'diffengine';
import dataset from 'diffengine/configs/_base_/datasets/toyland';
import evaluation from 'diffengine/configs/_base_/evaluation/toyland';
import preview from 'diffengine/configs/_base_/datasets/toyland_preview';
import runtime from 'diffengine/configs/_base_/default_runtime';
import schedule from 'diffengine/configs/_base_/schedules/from_scratch';

export default defineConfig({
  _base_: [dataset, evaluation, preview, schedule, runtime],
  model: { type: 'StableDiffusion', model: 'work_dirs/toyland_base', init: 'random', caption_dropout: 0.1 },
  // One in four in colours that no caption names: a DreamBooth subject has its own.
  train_dataloader: { batch_size: 32, dataset: { num_images: 30_000, painted: 0.25 } },
  train_cfg: { max_iters: 3000 },
  custom_hooks: {
    ema: { type: 'EMAHook', momentum: 2e-3, begin_iter: 200 },
  },
});
