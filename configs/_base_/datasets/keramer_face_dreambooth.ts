import { defineConfig } from 'diffengine';
import dreambooth from 'diffengine/configs/_base_/datasets/dreambooth_512';

export default defineConfig({
  _base_: dreambooth,
  train_dataloader: {
    dataset: {
      dataset: 'diffusers/keramer-face-example',
      instance_prompt: 'a photo of sks person',
      class_prompt: 'a photo of person',
    },
  },
  custom_hooks: { preview: { prompt: Array(4).fill('a photo of sks person in suits') } },
});
