// How models of toyland are judged: 200 prompts of combinations that training never showed, by its CLIP and by a classifier of its own.
import { defineConfig } from 'diffengine';

export default defineConfig({
  val_dataloader: {
    dataset: {
      type: 'ToylandDataset',
      num_images: 1000,
      seed: 1000,
      split: 'held_out',
      captions: 'full',
      pipeline: [{ type: 'ToTensor' }, { type: 'Normalize', mean: [0.5], std: [0.5] }, { type: 'PackInputs' }],
    },
  },
  val_evaluator: [
    { type: 'FrechetDistance' },
    { type: 'ClipMMD' },
    { type: 'ClipScore' },
    { type: 'AttributeAccuracy', classifier: 'package:assets/toyland-classifier' },
  ],
  val_cfg: {
    clip: 'package:assets/toyland-clip',
    num_images: 200,
    seeds: 3,
    num_inference_steps: 25,
    guidance_scale: 4,
    guidance_rescale: 0.7,
    scheduler: 'DDIMScheduler',
    height: 64,
    width: 64,
  },
});
