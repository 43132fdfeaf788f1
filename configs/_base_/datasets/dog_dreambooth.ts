import { defineConfig } from 'diffengine';
import dreambooth from 'diffengine/configs/_base_/datasets/dreambooth_512';

export default defineConfig({
  _base_: dreambooth,
  train_dataloader: {
    dataset: {
      dataset: 'diffusers/dog-example',
      instance_prompt: 'a photo of sks dog',
      class_prompt: 'a photo of dog',
    },
  },
  custom_hooks: { preview: { prompt: Array(4).fill('A photo of sks dog in a bucket') } },
});
