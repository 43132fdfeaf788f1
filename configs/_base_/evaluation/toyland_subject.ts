// How a subject of toyland is judged: by the DINO and the CLIP of toyland against its photos, among twelve others of its kind
// (val_evaluator.0.others.subjects), and whether the setting is the asked one.
import { defineConfig } from 'diffengine';

export default defineConfig({
  val_evaluator: [
    {
      type: 'DinoScore',
      model: 'package:assets/toyland-dino',
      others: {
        type: 'ToylandDataset',
        subjects: ['dog'],
        sightings: 5,
        num_images: 60,
        seed: 4000,
        pipeline: [{ type: 'ToTensor' }, { type: 'Normalize', mean: [0.5], std: [0.5] }, { type: 'PackInputs' }],
      },
    },
    { type: 'ClipImageScore' },
    { type: 'ClipScore' },
    { type: 'AttributeAccuracy', classifier: 'package:assets/toyland-classifier', attributes: ['setting'] },
  ],
  val_cfg: {
    clip: 'package:assets/toyland-clip',
    num_images: 28,
    seeds: 5,
    num_inference_steps: 25,
    guidance_scale: 4,
    scheduler: 'DDIMScheduler',
    height: 64,
    width: 64,
  },
});
