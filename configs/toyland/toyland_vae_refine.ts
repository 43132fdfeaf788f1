// Goes on with the shipped autoencoder, on other drawings.
import { defineConfig } from 'diffengine';
import vae from 'diffengine/configs/toyland/toyland_vae';

export default defineConfig({
  _base_: vae,
  model: { model: 'package:assets/toyland-sd', init: 'copy' },
  train_dataloader: { dataset: { seed: 5 } },
  optim_wrapper: { optimizer: { lr: 5e-4 } },
  train_cfg: { max_iters: 800 },
});
