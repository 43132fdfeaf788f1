import { defineConfig } from 'diffengine';
import runtime from 'diffengine/configs/_base_/default_runtime';
import dataset from 'diffengine/configs/_base_/datasets/dog_dreambooth';
import model from 'diffengine/configs/_base_/models/tiny_sd_lora';
import schedule from 'diffengine/configs/_base_/schedules/stable_diffusion_1k';

export default defineConfig({ _base_: [model, dataset, schedule, runtime] });
