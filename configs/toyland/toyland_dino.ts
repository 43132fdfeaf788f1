// DINO of toyland: a small vision transformer that learns from drawings without their texts. Two pictures in a row show one
// subject in two settings, as frames of one film: views across them teach it to see the subject, not where it stands.
import { defineConfig } from 'diffengine';
import dataset from 'diffengine/configs/_base_/datasets/toyland';
import runtime from 'diffengine/configs/_base_/default_runtime';
import schedule from 'diffengine/configs/_base_/schedules/from_scratch';

export default defineConfig({
  _base_: [dataset, schedule, runtime],
  model: { type: 'SelfDistillation', crops: { pictures: 2, jitter: 0.2, grayscale: 0, blur: 0.2 } },
  train_dataloader: {
    batch_size: 32,
    dataset: { num_images: 24_000, sightings: 2 },
    sampler: { shuffle: false },
  },
  train_cfg: { max_iters: 1500 },
  custom_hooks: { ema: { type: 'EMAHook', momentum: 4e-3 } },
});
