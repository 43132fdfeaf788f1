// Goes on where toyland_dino begins to see shapes. Two pictures in a row show one subject in two settings, as frames of one
// film: views across them teach it to see the subject, and not where it stands.
import { defineConfig } from 'diffengine';
import dino from 'diffengine/configs/toyland/toyland_dino';

export default defineConfig({
  _base_: dino,
  model: {
    model: 'work_dirs/toyland_dino/step699/vit',
    head: { prototypes: 256 },
    crops: { pictures: 2 },
    teacher_temp: 0.02,
  },
  train_dataloader: { dataset: { num_images: 24_000, sightings: 2 }, sampler: { shuffle: false } },
  optim_wrapper: { optimizer: { lr: 5e-4 } },
  train_cfg: { max_iters: 3000 },
});
