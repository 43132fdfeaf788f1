import { defineConfig, ref } from 'diffengine';

export default defineConfig({
  train_dataloader: {
    batch_size: 4,
    num_workers: 4,
    dataset: {
      type: 'DreamBoothDataset',
      dataset: 'diffusers/keramer-face-example',
      instance_prompt: 'a photo of sks person',
      class_prompt: 'a photo of person',
      class_image: { model: ref('model.model'), num_images: 200 },
      pipeline: [
        { type: 'Resize', size: 512, interpolation: 'bilinear' },
        { type: 'RandomCrop', size: 512 },
        { type: 'RandomHorizontalFlip', p: 0.5 },
        { type: 'ToTensor' },
        { type: 'Normalize', mean: [0.5], std: [0.5] },
        { type: 'PackInputs' },
      ],
    },
    sampler: { type: 'InfiniteSampler', shuffle: true },
  },
  custom_hooks: {
    preview: { type: 'VisualizationHook', prompt: Array(4).fill('a photo of sks person in suits'), interval: 100 },
    peft: { type: 'PeftSaveHook' },
  },
});
