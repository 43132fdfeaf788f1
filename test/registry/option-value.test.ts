/** `--cfg-options`: options that take text get it as it stands. */
import t from 'tap';
import { loadComponents } from '../../src/components.js';
import { applyCfgOptions } from '../../src/registry/cfg-options.js';
import { getPath, type Tree } from '../../src/registry/merge.js';

await loadComponents();

const CONFIG = {
  model: { type: 'StableDiffusion', model: 'a/b', unet_lora_config: { type: 'LoRA', r: 4, target_modules: ['to_q'] } },
  train_dataloader: { dataset: { type: 'DreamBoothDataset', dataset: 'x', instance_prompt: 'a', class_prompt: 'b' } },
  optim_wrapper: { optimizer: { type: 'AdamW', lr: 1 }, type: 'AmpOptimWrapper' },
  custom_hooks: { preview: { type: 'VisualizationHook', prompt: ['a'] }, mine: { type: 'NobodyKnows', text: 'old' } },
};
const set = (path: string, text: string): unknown =>
  getPath(applyCfgOptions(CONFIG as Tree, [`${path}=${text}`], new Map()), path);

const TEXTS = [
  'a photo of sks dog #1',
  '#hashtag',
  'sks dog: running',
  'a "sks" dog',
  '"sks" dog',
  '"a whole quote"',
  "'tis a dog",
  'a 🐕 dog: 🎉 #party',
  '[sks] dog',
  '[sks]',
  '{sks} dog',
  '{sks: dog}',
  '*star* dog',
  '&amp dog',
  '!bang',
  '@home',
  '`tick`',
  '%percent',
  '- dash',
  '? what',
  '| pipe',
  '> quote',
  'yes',
  'true',
  '~',
  '2024',
  '1e3',
  '0x1F',
  '2024-01-01',
  '.inf',
  '',
  ' padded ',
  'two\nlines: here #x',
  'tab\there',
  'a=b=c',
  '---',
  '$ref',
  '../my photos #2: best/',
];

for (const [path, what] of [
  ['train_dataloader.dataset.instance_prompt', 'an option of a component'],
  ['model.model', 'a path'],
  ['work_dir', 'a text that is not set yet'],
  ['val_cfg.negative_prompt', 'a text of a section that is not there yet'],
  ['custom_hooks.mine.text', 'a text of a component that nobody knows'],
])
  void t.test(`--cfg-options: ${what} takes any text as it stands`, async (t) => {
    for (const text of TEXTS) t.equal(set(path, text), text, JSON.stringify(text));
  });

void t.test('--cfg-options: null removes a text, too', async (t) => {
  t.equal(set('train_dataloader.dataset.class_prompt', 'null'), undefined);
  t.equal(set('train_dataloader.dataset.class_prompt', 'null dog'), 'null dog');
});

void t.test('--cfg-options: where text or a list may stand, [...] is a list and the rest is text', async (t) => {
  const at = 'custom_hooks.preview.prompt';
  for (const text of TEXTS.filter((text) => !['[sks]', '{sks: dog}'].includes(text)))
    t.equal(set(at, text), text, JSON.stringify(text));
  t.strictSame(set(at, '[a dog, "a cat #2"]'), ['a dog', 'a cat #2']);
  t.strictSame(set(at, '["sks: x", \'#y\']'), ['sks: x', '#y']);
  t.throws(() => set(at, '[a dog #1, b]'), {
    name: 'UserError',
    message:
      /^--cfg-options custom_hooks\.preview\.prompt=\[a dog #1, b\]: the value is not YAML: .+; quote the text in it$/,
  });
  t.strictSame(set('val_cfg.instances', '{type: ImageFolderDataset, dataset: ./a}'), {
    type: 'ImageFolderDataset',
    dataset: './a',
  });
  t.equal(set('val_cfg.instances', './a: b #2'), './a: b #2');
  t.equal(set('optim_wrapper.loss_scale', '512'), 512);
  t.equal(set('optim_wrapper.loss_scale', 'dynamic'), 'dynamic');
});

void t.test('--cfg-options: what is no text is YAML, and a comment in it is refused, not lost', async (t) => {
  t.equal(set('optim_wrapper.optimizer.lr', '1e-5'), 1e-5);
  t.strictSame(set('model.unet_lora_config.target_modules', '[to_k, "to_out.0"]'), ['to_k', 'to_out.0']);
  t.strictSame(set('optim_wrapper.clip_grad', 'max_norm: 2'), { max_norm: 2 });
  for (const [path, text] of [
    ['optim_wrapper.optimizer.lr', '1e-5 # slow'],
    ['train_cfg.max_iters', '#5'],
    ['model.unet_lora_config.rank_pattern', '{to_k: 2} #, to_q: 3}'],
  ])
    t.throws(() => set(path, text), {
      name: 'UserError',
      message: `--cfg-options ${path}=${text}: " #" begins a comment in YAML, and what follows would be lost; quote the text in it`,
    });
});

void t.test('--cfg-options: values that hold themselves, multiply or go too deep are refused', async (t) => {
  const at = 'model.unet_lora_config.rank_pattern';
  t.throws(() => set(at, '&a [*a]'), { name: 'UserError', message: /the value is not YAML: 0 holds itself/ });
  t.throws(() => set(at, '[*nobody]'), { name: 'UserError', message: /Unresolved alias/ });
  t.throws(() => set(at, `${'['.repeat(30_000)}${']'.repeat(30_000)}`), {
    name: 'UserError',
    message: /nested more than 64 deep/,
  });
  t.throws(() => applyCfgOptions({}, ['a..b=1'], new Map()), {
    name: 'UserError',
    message: '--cfg-options a..b=1: "a..b" has an empty part; write path.to.key=value',
  });
  t.throws(() => applyCfgOptions({}, ['__proto__.x=1'], new Map()), { name: 'UserError', message: /__proto__/ });
});
