// What a person can wait for without a GPU: small pictures, one at a time, no class pictures, two short previews. Quality was
// given up for it: at 256 px Stable Diffusion draws worse than at the 512 px it was trained with.
import { defineConfig } from 'diffengine';

export default defineConfig({
  size: 256,
  train_dataloader: { batch_size: 1, num_workers: 1, dataset: { class_prompt: null } },
  train_cfg: { max_iters: 400 },
  custom_hooks: {
    preview: {
      prompt: Array(2).fill('A photo of sks dog in a bucket'),
      interval: 200,
      num_inference_steps: 20,
      scheduler: 'DPMSolverMultistepScheduler',
    },
  },
});
