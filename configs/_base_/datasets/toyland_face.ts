import { defineConfig } from 'diffengine';
import dreambooth from 'diffengine/configs/_base_/datasets/toyland_dreambooth';
import { judgedAs } from 'diffengine/configs/_base_/evaluation/toyland_subject';

export default defineConfig({
  _base_: dreambooth,
  val_evaluator: judgedAs('person').val_evaluator,
  train_dataloader: {
    dataset: {
      dataset: 'package:assets/toyland-instances/sks_face',
      instance_prompt: 'a photo of sks person',
      class_prompt: 'a photo of a person',
    },
  },
  custom_hooks: {
    preview: {
      prompt: ['in a bucket', 'at night', 'in the snow', 'under water'].map(
        (where) => `a photo of sks person ${where}`,
      ),
    },
  },
});
