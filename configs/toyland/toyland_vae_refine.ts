// Goes on where toyland_vae ends, on drawings of which three in four are painted in any colours: a DreamBooth subject has its own.
import { defineConfig } from 'diffengine';
import vae from 'diffengine/configs/toyland/toyland_vae';

export default defineConfig({
  _base_: vae,
  model: { model: 'work_dirs/toyland_vae', init: 'copy' },
  train_dataloader: { dataset: { num_images: 40_000, painted: 0.75, seed: 5 } },
  train_cfg: { max_iters: 3000 },
  custom_hooks: { ema: { type: 'EMAHook', momentum: 2e-3, begin_iter: 200 } },
});
