import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

t.setTimeout(240_000); // each case starts a process

const CLI = fileURLToPath(new URL('../../tools/cli.js', import.meta.url));
const ALL =
  'DDIMScheduler, DDPMScheduler, DEISMultistepScheduler, DPMSolverMultistepScheduler, DPMSolverSinglestepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler, KDPM2AncestralDiscreteScheduler, KDPM2DiscreteScheduler, LCMScheduler, LMSDiscreteScheduler, PNDMScheduler, UniPCMultistepScheduler';

/** The random pipeline with other fields in its scheduler_config.json. */
function pipeline(t: { testdir(): string }, fields: Record<string, unknown>): { model: string; file: string } {
  const model = join(t.testdir(), 'model'),
    file = join(model, 'scheduler', 'scheduler_config.json');
  cpSync('assets/tiny-random-sd', model, { recursive: true });
  const config = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...config, ...fields }));
  return { model, file };
}

/** Ends before the weights are read: with them gone, the message would be of them. */
function run(model: string, ...args: string[]): { code: number | null; last: string } {
  writeFileSync(join(model, 'unet', 'diffusion_pytorch_model.safetensors'), 'gone');
  const { status, stderr } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8' });
  return { code: status, last: stderr.trim().split('\n').at(-1) ?? '' };
}

const train = (model: string, ...options: string[]): { code: number | null; last: string } =>
  run(
    model,
    ...['train', 'tiny_random_sd_dreambooth_lora_dog', '--work-dir', join(model, '..', 'work')],
    ...['--cfg-options', `model.model=${model}`, `cache_dir=${join(model, '..', 'cache')}`, ...options],
  );

void t.test('a scheduler that is not ours: the message names the option, before weights are read', async (t) => {
  const { model, file } = pipeline(t, { _class_name: 'DPMSolverSDEScheduler' });
  const refused = (key: string): string =>
    `diffengine: ${file}: _class_name "DPMSolverSDEScheduler" is not supported; set ${key} to one that is: ${ALL}`;
  t.strictSame(train(model), { code: 1, last: refused('train_dataloader.dataset.class_image.scheduler') });
  t.strictSame(
    train(model, 'train_dataloader.dataset.class_image.scheduler=UniPCMultistepScheduler').last,
    refused('custom_hooks.preview.scheduler'),
  );
  t.strictSame(
    train(model, 'train_dataloader.dataset.class_prompt=null').last,
    refused('custom_hooks.preview.scheduler'),
  );
  t.strictSame(run(model, 'demo', 'a dog', model, '--out', join(model, 'x.png')).last, refused('--scheduler'));
  t.notOk(existsSync(join(model, 'x.png')));
  t.match(
    train(
      model,
      'train_dataloader.dataset.class_image.scheduler=UniPCMultistepScheduler',
      'custom_hooks.preview.scheduler=DDIMScheduler',
    ).last,
    /unet\/diffusion_pytorch_model\.safetensors/,
    'nothing is drawn with it, so the weights come next',
  );
});

void t.test('options of what is drawn: unknown names and too many steps, by the key of the config', async (t) => {
  const { model, file } = pipeline(t, { _class_name: 'LCMScheduler', original_inference_steps: 8 });
  t.equal(
    train(model, 'custom_hooks.preview.scheduler=UniPCMultistepSchedulr', 'train_dataloader.dataset.class_prompt=null')
      .last,
    'diffengine: custom_hooks.preview.scheduler: unknown scheduler "UniPCMultistepSchedulr"; did you mean "UniPCMultistepScheduler"?',
  );
  t.equal(
    train(model).last,
    'diffengine: custom_hooks.preview.num_inference_steps: 10; LCMScheduler takes 1 to 8, the original_inference_steps of the distillation',
  );
  t.equal(
    train(model, 'train_dataloader.dataset.class_image.num_inference_steps=9').last,
    'diffengine: train_dataloader.dataset.class_image.num_inference_steps: 9; LCMScheduler takes 1 to 8, the original_inference_steps of the distillation',
  );
  t.equal(
    train(model, 'model.prediction_type=sample', 'custom_hooks.preview.scheduler=PNDMScheduler').last,
    `diffengine: ${file}: prediction_type: "sample" is not one of "epsilon", "v_prediction" (for PNDMScheduler; custom_hooks.preview.scheduler can name another scheduler)`,
  );
});

void t.test('a noise schedule that cannot be trained is told before weights are read', async (t) => {
  const { model, file } = pipeline(t, { trained_betas: [0.1, 0.2] });
  t.equal(
    train(model).last,
    `diffengine: ${file}: trained_betas has 2 values and num_train_timesteps is 1000; there must be one for each`,
  );
});
