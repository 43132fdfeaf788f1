import { defineConfig } from 'diffengine';
import teacher from 'diffengine/configs/_base_/models/toyland_sd_lora';

export default defineConfig({ _base_: [teacher], model: { model: 'package:assets/toyland-tiny-sd' } });
