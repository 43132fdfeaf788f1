// Drawings of 64 px with texts, made as they are needed; a tenth of the combinations is held out.
import { defineConfig } from 'diffengine';

export default defineConfig({
  train_dataloader: {
    batch_size: 32,
    num_workers: 2,
    dataset: {
      type: 'ToylandDataset',
      num_images: 12_000,
      seed: 0,
      split: 'train',
      size: 64,
      pipeline: [{ type: 'ToTensor' }, { type: 'Normalize', mean: [0.5], std: [0.5] }, { type: 'PackInputs' }],
    },
    sampler: { type: 'InfiniteSampler', shuffle: true },
  },
});
