import { defineConfig } from 'diffengine';
import teacher from 'diffengine/configs/_base_/models/toyland_sd_lora';

export default defineConfig({
  _base_: [teacher],
  model: {
    model: 'package:assets/toyland-small-sd',
    // With and without it: docs/toyland.md.
    text_encoder_lora_config: {
      type: 'LoRA',
      r: 4,
      lora_alpha: 4,
      target_modules: ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2'],
    },
  },
});
