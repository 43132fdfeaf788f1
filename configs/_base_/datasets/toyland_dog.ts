import { defineConfig } from 'diffengine';
import dreambooth from 'diffengine/configs/_base_/datasets/toyland_dreambooth';

export default defineConfig({
  _base_: dreambooth,
  train_dataloader: {
    dataset: {
      dataset: 'package:assets/toyland-instances/sks_dog',
      instance_prompt: 'a photo of sks dog',
      class_prompt: 'a photo of a dog',
    },
  },
  custom_hooks: {
    preview: {
      prompt: ['in a bucket', 'at night', 'in the snow', 'under water'].map((where) => `a photo of sks dog ${where}`),
    },
  },
});
