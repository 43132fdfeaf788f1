import { defineConfig } from 'diffengine';
import runtime from 'diffengine/configs/_base_/default_runtime';
import dataset from 'diffengine/configs/_base_/datasets/laion_aes';
import model from 'diffengine/configs/_base_/models/tiny_sd_distill';
import schedule from 'diffengine/configs/_base_/schedules/segmind_distill_100k';

export default defineConfig({
  _base_: [model, dataset, schedule, runtime],
  model: { model: 'SG161222/Realistic_Vision_V4.0', preset: 'segmind' },
  train_cfg: { max_iters: 125_000 * 32 },
});
