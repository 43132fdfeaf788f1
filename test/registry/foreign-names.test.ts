/** Configs of mmengine and Python DiffEngine: what each name is called here. */
import t from 'tap';
import { loadComponents } from '../../src/components.js';
import { loadConfig } from '../../src/registry/load-config.js';
import { validateConfig } from '../../src/registry/validate.js';

t.before(loadComponents);
const NAME = 'tiny_random_sd_dreambooth_lora_dog';
const problems = async (options: Readonly<Record<string, unknown>>): Promise<string[]> => {
  const { config } = await loadConfig(NAME, options);
  try {
    validateConfig(config);
  } catch (error) {
    return (error as Error).message.split('\n').sort();
  }
  return [];
};

void t.test('keys that mean something else here, or nothing, say so', async (t) => {
  t.strictSame(
    await problems({
      default_scope: 'diffengine',
      env_cfg: { cudnn_benchmark: false },
      log_processor: { by_epoch: false },
      'optim_wrapper.dtype': 'float16',
      'train_cfg.val_interval': 50,
      'train_dataloader.dataset.class_image_config': { model: 'x' },
    }),
    [
      'default_scope: unknown option; components are found by their names alone here; leave it out; see docs/migration.md',
      'env_cfg: unknown option; there are no settings of CUDA and processes here; leave it out, backend.device says what computes; see docs/migration.md',
      'log_processor: unknown option; everything counts iterations here; leave it out, default_hooks.logger.interval says how often a line is written; see docs/migration.md',
      "optim_wrapper.dtype: unknown option; AmpOptimWrapper computes products in float16; leave it out, type: 'OptimWrapper' computes in float32; see docs/migration.md",
      'train_cfg.val_interval: unknown option; evaluation is a hook here: custom_hooks.evaluation.interval of EvaluationHook; see docs/migration.md',
      'train_dataloader.dataset.class_image_config: unknown option; it is called class_image here; see docs/migration.md',
    ],
  );
});

void t.test(
  'hooks as a list are told their names; components of other names, and of files that nobody imports',
  async (t) => {
    t.strictSame(
      await problems({ custom_hooks: [{ type: 'VisualizationHook', prompt: 'x' }, { type: 'PeftSaveHook' }] }),
      [
        "custom_hooks: hooks have names here, so that a config that inherits can change one; write custom_hooks: { visualization: { type: 'VisualizationHook', ... }, peftsave: { type: 'PeftSaveHook', ... } }; see docs/migration.md",
      ],
    );
    t.strictSame(await problems({ train_dataloader: { dataset: { type: 'HFDreamBoothDataset', _delete_: true } } }), [
      'train_dataloader.dataset.type: unknown dataset "HFDreamBoothDataset"; it is called DreamBoothDataset here; see docs/migration.md',
    ]);
    t.strictSame(await problems({ 'train_dataloader.dataset.pipeline': [{ type: 'torchvision/Resize', size: 64 }] }), [
      'train_dataloader.dataset.pipeline.0.type: unknown transform "torchvision/Resize"; it is called Resize here; see docs/migration.md',
    ]);
    const [own] = await problems({ custom_hooks: { mine: { type: 'WatermarkHook' } } });
    t.match(
      own,
      /^custom_hooks\.mine\.type: unknown hook "WatermarkHook"; .*f it is your own, is its file in custom_imports\?$/,
    );
  },
);

void t.test('a config in Python is refused with where to look', async (t) => {
  for (const name of ['dog.py', 'configs/dog.py'])
    await t.rejects(loadConfig(name), {
      message: `${name}: written for Python, which does not run here; write the same keys in TypeScript or YAML, see docs/migration.md`,
    });
});
