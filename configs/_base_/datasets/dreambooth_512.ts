// What every DreamBooth run at 512 px shares; a dataset of its own says which pictures, and with which words.
import { defineConfig, ref } from 'diffengine';

export default defineConfig({
  size: 512,
  train_dataloader: {
    batch_size: 4,
    num_workers: 4,
    dataset: {
      type: 'DreamBoothDataset',
      class_image: { model: ref('model.model'), num_images: 200, size: ref('size') },
      pipeline: [
        { type: 'Resize', size: ref('size'), interpolation: 'bilinear' },
        { type: 'RandomCrop', size: ref('size') },
        { type: 'RandomHorizontalFlip', p: 0.5 },
        { type: 'ToTensor' },
        { type: 'Normalize', mean: [0.5], std: [0.5] },
        { type: 'PackInputs' },
      ],
    },
    sampler: { type: 'InfiniteSampler', shuffle: true },
  },
  custom_hooks: {
    preview: { type: 'VisualizationHook', interval: 100, height: ref('size'), width: ref('size') },
    peft: { type: 'PeftSaveHook' },
  },
});
