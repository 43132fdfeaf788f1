// Goes on with the shipped CLIP, on drawings in fours that differ in their subject alone: what a batch must be told apart by.
import { defineConfig } from 'diffengine';
import clip from 'diffengine/configs/toyland/toyland_clip';

export default defineConfig({
  _base_: clip,
  model: { model: 'package:assets/toyland-clip' },
  train_dataloader: { dataset: { alike: 4, seed: 3 }, sampler: { shuffle: false } },
  optim_wrapper: { optimizer: { lr: 5e-4 } },
  train_cfg: { max_iters: 900 },
});
