// Validation pictures of runs on toyland: six combinations that training never shows, and class words alone.
import { defineConfig } from 'diffengine';

export default defineConfig({
  custom_hooks: {
    preview: {
      type: 'VisualizationHook',
      interval: 500,
      before_train: false,
      height: 64,
      width: 64,
      num_inference_steps: 25,
      guidance_scale: 4,
      guidance_rescale: 0.7,
      scheduler: 'DDIMScheduler',
      prompt: [
        'a photo of a red dog on grass',
        'a photo of a blue car in a room',
        'a photo of a yellow cat in the forest',
        'a photo of a green house in a bucket',
        'a photo of a purple robot on grass',
        'a photo of a dog in a bucket',
        'a photo of a cup',
        'a photo of an orange fish in the snow',
      ],
    },
  },
});
