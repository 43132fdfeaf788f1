// As the small student, with segmind tiny-sd's layout (BK-SDM Tiny).
import { defineConfig } from 'diffengine';
import small from 'diffengine/configs/toyland/toyland_small_sd_distill';

export default defineConfig({ _base_: small, model: { block_removal: 'tiny' } });
