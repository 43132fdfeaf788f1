// Seconds, for a first look and for tests: `diffengine make-model tiny-random-teacher --out tiny-random-teacher` writes its teacher, with random weights.
import { defineConfig } from 'diffengine';
import runtime from 'diffengine/configs/_base_/default_runtime';
import dataset from 'diffengine/configs/_base_/datasets/laion_aes';
import model from 'diffengine/configs/_base_/models/small_sd_distill';
import schedule from 'diffengine/configs/_base_/schedules/bk_sdm_50k';

export default defineConfig({
  _base_: [model, dataset, schedule, runtime],
  size: 64,
  model: { model: 'tiny-random-teacher' },
  train_dataloader: {
    batch_size: 2,
    num_workers: 1,
    dataset: {
      dataset: 'pictures',
    },
  },
  optim_wrapper: { accumulative_counts: 2 },
  train_cfg: { max_iters: 40 },
  default_hooks: { checkpoint: { interval: 20 } },
  custom_hooks: { ema: { momentum: 0.1 }, preview: { interval: 20, num_inference_steps: 10 } },
});
