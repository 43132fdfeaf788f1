// The 212,000 pairs of LAION-Aesthetics V2 6.5+ as BK-SDM's scripts/get_laion_data.sh leaves them; any folder with a metadata.csv of file_name and text will do.
import { defineConfig, ref } from 'diffengine';

export default defineConfig({
  size: 512,
  train_dataloader: {
    batch_size: 4,
    num_workers: 4,
    dataset: {
      type: 'ImageFolderDataset',
      dataset: 'data/laion_aes/preprocessed_212k',
      check_pictures: 1000, // all would take minutes
      pipeline: [
        { type: 'Resize', size: ref('size'), interpolation: 'bilinear' },
        { type: 'CenterCrop', size: ref('size') },
        { type: 'RandomHorizontalFlip', p: 0.5 },
        { type: 'ToTensor' },
        { type: 'Normalize', mean: [0.5], std: [0.5] },
        { type: 'PackInputs' },
      ],
    },
    sampler: { type: 'InfiniteSampler', shuffle: true },
  },
  custom_hooks: {
    preview: {
      type: 'VisualizationHook',
      interval: 1000,
      height: ref('size'),
      width: ref('size'),
      prompt: [
        'a golden vase with different flowers',
        'a photo of a dog on the beach',
        'a small house in the snow at night',
        'a portrait of an astronaut',
      ],
    },
  },
});
