// Checked by `npm run typecheck`: each `@ts-expect-error` line must fail, every other line must compile.
import { defineConfig, ref } from '../../src/index.js';

// A leaf config may override single values of anything it inherits.
defineConfig({
  _base_: [{ train_cfg: { max_iters: 10 } }, './other.yaml'],
  model: {
    model: './my-small-sd',
    loss: { type: 'SNRL2Loss', snr_gamma: 5 },
    text_encoder_lora_config: ref('model.unet_lora_config'),
  },
  train_dataloader: { batch_size: 1, dataset: { class_image: { num_images: 20 } }, sampler: { shuffle: false } },
  custom_hooks: { preview: { interval: 5 }, peft: null },
  param_scheduler: [{ type: 'LinearLR', start_factor: 0.1 }],
});
defineConfig({
  model: {
    _delete_: true,
    type: 'StableDiffusion',
    model: ref('train_dataloader.dataset.class_image.model'),
    unet_lora_config: null,
  },
});

// @ts-expect-error: no such key
defineConfig({ modle: {} });
// @ts-expect-error: no such hook
defineConfig({ custom_hooks: { preview: { type: 'VisualisationHook' } } });
// @ts-expect-error: the hook has no such option
defineConfig({ custom_hooks: { preview: { type: 'VisualizationHook', intervall: 5 } } });
// @ts-expect-error: no hook has such an option
defineConfig({ custom_hooks: { preview: { intervall: 5 } } });
// @ts-expect-error: an option of another hook
defineConfig({ custom_hooks: { preview: { type: 'VisualizationHook', max_keep_ckpts: 5 } } });
// @ts-expect-error: a number, not text
defineConfig({ custom_hooks: { preview: { interval: '5' } } });
// @ts-expect-error: a number, not text
defineConfig({ train_cfg: { max_iters: '100' } });
// @ts-expect-error: a dataset is no hook
defineConfig({ custom_hooks: { data: { type: 'DreamBoothDataset' } } });
// @ts-expect-error: no such option in a nested object
defineConfig({ train_dataloader: { dataset: { class_image: { num_image: 5 } } } });
// @ts-expect-error: no such transform in the list of a dataset
defineConfig({ train_dataloader: { dataset: { pipeline: [{ type: 'Resizze', size: 64 }] } } });
// @ts-expect-error: the transform has no such option
defineConfig({ train_dataloader: { dataset: { pipeline: [{ type: 'Resize', sizze: 64 }] } } });
// @ts-expect-error: no such loss in a model
defineConfig({ model: { loss: { type: 'L3Loss' } } });
// @ts-expect-error: not one of the allowed words
defineConfig({ model: { prediction_type: 'flow_prediction' } });
// @ts-expect-error: no such model, in a base
defineConfig({ _base_: [{ model: { type: 'StableDifusion' } }] });
