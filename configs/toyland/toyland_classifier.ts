// Judges generated pictures: a classifier that saw drawings only, softened and noisy, and nothing that a generator made or was made of.
import { defineConfig, toyland } from 'diffengine';
import dataset from 'diffengine/configs/_base_/datasets/toyland';
import runtime from 'diffengine/configs/_base_/default_runtime';
import schedule from 'diffengine/configs/_base_/schedules/from_scratch';

export default defineConfig({
  _base_: [dataset, schedule, runtime],
  model: {
    type: 'ImageClassifier',
    attributes: { subject: [...toyland.SUBJECTS], colour: [...toyland.COLOURS], setting: [...toyland.SETTINGS] },
    augment: { noise: 0.2, blur: 0.5 },
  },
  train_dataloader: { dataset: { seed: 7, captions: 'full', num_images: 60_000 } },
  optim_wrapper: { optimizer: { lr: 3e-3 } },
  param_scheduler: [
    { type: 'LinearLR', start_factor: 0.01, end: 50 },
    { type: 'CosineAnnealingLR', begin: 50, eta_min: 1e-5 },
  ],
  train_cfg: { max_iters: 3000 },
});
