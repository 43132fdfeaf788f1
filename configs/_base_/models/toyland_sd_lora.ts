import { defineConfig } from 'diffengine';

export default defineConfig({
  model: {
    type: 'StableDiffusion',
    model: 'package:assets/toyland-sd',
    // Noise alone would teach it where the five photos were taken: docs/toyland.md.
    loss: { type: 'SNRL2Loss' },
    unet_lora_config: {
      type: 'LoRA',
      r: 16,
      lora_alpha: 16,
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
        'conv_shortcut',
        'conv',
        'conv_out',
        'time_emb_proj',
      ],
    },
  },
});
