// Goes on where toyland_clip ends, on drawings in fours that differ in their subject alone: what a batch must be told apart by.
// Its text encoder is the one of toyland's pipelines; their pictures are judged by toyland_clip.
import { defineConfig } from 'diffengine';
import clip from 'diffengine/configs/toyland/toyland_clip';

export default defineConfig({
  _base_: clip,
  model: { model: 'work_dirs/toyland_clip' },
  train_dataloader: { dataset: { alike: 4, seed: 3 }, sampler: { shuffle: false } },
  optim_wrapper: { optimizer: { lr: 5e-4 } },
  train_cfg: { max_iters: 900 },
});
