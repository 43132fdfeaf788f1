import { defineConfig } from 'diffengine';
import runtime from 'diffengine/configs/_base_/default_runtime';
import dataset from 'diffengine/configs/_base_/datasets/laion_aes';
import model from 'diffengine/configs/_base_/models/tiny_sd_distill';
import schedule from 'diffengine/configs/_base_/schedules/bk_sdm_50k';

export default defineConfig({ _base_: [model, dataset, schedule, runtime], model: { preset: 'bk_sdm' } });
