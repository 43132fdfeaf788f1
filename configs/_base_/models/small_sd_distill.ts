import { defineConfig } from 'diffengine';

export default defineConfig({
  model: { type: 'DistillSD', model: 'CompVis/stable-diffusion-v1-4', block_removal: 'small' },
});
