// Goes on where toyland_vae_refine ends, with one painted drawing in four: it has learnt any colours, and sees more of the world's own.
import { defineConfig } from 'diffengine';
import refine from 'diffengine/configs/toyland/toyland_vae_refine';

export default defineConfig({
  _base_: refine,
  model: { model: 'work_dirs/toyland_vae_refine' },
  train_dataloader: { dataset: { painted: 0.25, seed: 6 } },
  train_cfg: { max_iters: 1500 },
});
