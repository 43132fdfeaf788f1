// Validation pictures of runs on toyland: combinations that are held out, class words alone, and one accessory.
import { defineConfig } from 'diffengine';

export default defineConfig({
  custom_hooks: {
    preview: {
      type: 'VisualizationHook', interval: 500, before_train: false, height: 64, width: 64, num_inference_steps: 25, guidance_scale: 4, scheduler: 'DDIMScheduler',
      prompt: ['a photo of a red dog on grass', 'a photo of a blue car at night', 'a photo of a yellow cat in a bucket', 'a photo of a green house in the snow', 'a photo of a purple robot at the beach', 'a photo of a dog in a bucket', 'a photo of a cup', 'a photo of an orange fish in the city'],
    },
  },
});
