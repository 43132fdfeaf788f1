// The built-in default: random weights and drawings of our own, for a first look and for tests. Its pictures are noise.
import { defineConfig } from 'diffengine';
import dataset from 'diffengine/configs/_base_/datasets/dog_dreambooth';
import model from 'diffengine/configs/_base_/models/small_sd_lora';
import runtime from 'diffengine/configs/_base_/default_runtime';
import schedule from 'diffengine/configs/_base_/schedules/stable_diffusion_1k';

export default defineConfig({
  _base_: [model, dataset, schedule, runtime],
  size: 64,
  model: { model: 'package:assets/tiny-random-sd' },
  train_dataloader: {
    batch_size: 2,
    num_workers: 1,
    dataset: {
      dataset: 'package:assets/dog-drawings',
      class_image: { num_images: 4, num_inference_steps: 5 },
    },
  },
  train_cfg: { max_iters: 40 },
  default_hooks: { checkpoint: { interval: 20 } },
  custom_hooks: { preview: { interval: 20, num_inference_steps: 10 } },
});
