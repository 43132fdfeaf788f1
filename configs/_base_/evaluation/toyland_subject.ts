// How a subject of toyland is judged: by the DINO and the CLIP of toyland against its photos, among photos of twelve others of
// its kind in the same places, and whether the setting is the asked one.
import { defineConfig, type toyland } from 'diffengine';

/** @param kind what the subject is: "dog" */
export const judgedAs = (kind: (typeof toyland.SUBJECTS)[number]) =>
  defineConfig({
    val_evaluator: [
      {
        type: 'DinoScore',
        model: 'package:assets/toyland-dino',
        others: {
          type: 'ToylandDataset',
          subjects: [kind],
          settings: ['on grass', 'in a room', 'in the city'],
          sightings: 3,
          num_images: 36,
          seed: 4000,
          pipeline: [{ type: 'ToTensor' }, { type: 'Normalize', mean: [0.5], std: [0.5] }, { type: 'PackInputs' }],
        },
      },
      { type: 'ClipImageScore' },
      { type: 'ClipScore' },
      { type: 'AttributeAccuracy', classifier: 'package:assets/toyland-classifier', attributes: ['setting'] },
    ],
  });

export default defineConfig({
  _base_: judgedAs('dog'),
  val_cfg: {
    clip: 'package:assets/toyland-clip',
    num_inference_steps: 25,
    guidance_scale: 4,
    guidance_rescale: 0.7,
    scheduler: 'DDIMScheduler',
    height: 64,
    width: 64,
  },
});
