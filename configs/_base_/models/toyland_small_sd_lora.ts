import { defineConfig } from 'diffengine';

export default defineConfig({
  model: {
    type: 'StableDiffusion',
    model: 'package:assets/toyland-small-sd',
    unet_lora_config: {
      type: 'LoRA',
      r: 8,
      lora_alpha: 8,
      target_modules: [
        'to_q',
        'to_k',
        'to_v',
        'to_out.0',
        'proj_in',
        'proj_out',
        'ff.net.0.proj',
        'ff.net.2',
        'conv1',
        'conv2',
      ],
    },
    // About the quality of the U-Net alone, in fewer iterations: docs/toyland.md.
    text_encoder_lora_config: {
      type: 'LoRA',
      r: 4,
      lora_alpha: 4,
      target_modules: ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2'],
    },
  },
});
