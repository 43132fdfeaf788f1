import { defineConfig } from 'diffengine';
import runtime from 'diffengine/configs/_base_/default_runtime';
import dataset from 'diffengine/configs/_base_/datasets/toyland_dog';
import model from 'diffengine/configs/_base_/models/toyland_small_sd_lora';

export default defineConfig({ _base_: [model, dataset, runtime] });
