import { defineConfig } from 'diffengine';

export default defineConfig({
  model: {
    type: 'StableDiffusion',
    model: 'package:assets/toyland-sd',
    unet_lora_config: { type: 'LoRA', r: 8, lora_alpha: 8, target_modules: ['to_q', 'to_k', 'to_v', 'to_out.0'] },
  },
});
