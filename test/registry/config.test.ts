/** Whole configs: files of both languages, what they inherit, and everything that ships. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadComponents } from '../../src/components.js';
import { dumpConfig } from '../../src/registry/dump.js';
import { builtInConfigs, loadConfig } from '../../src/registry/load-config.js';
import { getPath, leaves } from '../../src/registry/merge.js';
import { validateConfig } from '../../src/registry/validate.js';

await loadComponents();

let folders = 0; // Node keeps modules by path: each call writes to a folder of its own
/** Writes the files to a folder and loads `main.*` of them. */
const load = async (t: Test, files: Record<string, string>, options: readonly string[] = []) => {
  const name = `load${folders++}`,
    folder = join(t.testdir({ [name]: files }), name),
    main = Object.keys(files).find((name) => name.startsWith('main.')) as string;
  return loadConfig(join(folder, main), options);
};
const fails = (t: Test, files: Record<string, string>, message: RegExp): Promise<unknown> =>
  t.rejects(load(t, files), { name: 'UserError', message });

void t.test('YAML: _base_ paths are relative to the file, and nest', async (t) => {
  const folder = t.testdir({
    base: {
      'model.yaml': 'model: { type: M, lr: 1e-4, keep: yes }\n',
      'all.yaml': '_base_: [./model.yaml]\ntrain_cfg: { max_iters: 10 }\n',
    },
    'main.yaml': '_base_: base/all.yaml\nmodel: { lr: 1 }\n',
  });
  const { name, config, file } = await loadConfig(join(folder, 'main.yaml'));
  t.strictSame(config, { model: { type: 'M', lr: 1, keep: 'yes' }, train_cfg: { max_iters: 10 } });
  t.equal(name, 'main');
  t.equal(file, join(folder, 'main.yaml'));
});

void t.test('YAML: inherits from TypeScript, from built-in pieces and with !ref', async (t) => {
  const { config } = await load(t, {
    'piece.ts':
      "import { defineConfig } from 'diffengine';\nexport default defineConfig({ randomness: { seed: 7 } });\n",
    'main.yaml': [
      '_base_: [./piece.ts, diffengine/configs/_base_/models/small_sd_lora, diffengine/configs/_base_/schedules/stable_diffusion_1k]',
      'train_dataloader: { dataset: { class_image: { model: !ref model.model } } }',
      'default_hooks: { checkpoint: null }',
    ].join('\n'),
  });
  t.strictSame(config, {
    randomness: { seed: 7 },
    model: {
      type: 'StableDiffusion',
      model: 'segmind/small-sd',
      unet_lora_config: { type: 'LoRA', r: 8, lora_alpha: 8, target_modules: ['to_q', 'to_k', 'to_v', 'to_out.0'] },
    },
    optim_wrapper: { optimizer: { type: 'AdamW', lr: 1e-4, weight_decay: 1e-2 }, clip_grad: { max_norm: 1 } },
    train_cfg: { type: 'IterBasedTrainLoop', max_iters: 1000 },
    default_hooks: {},
    train_dataloader: { dataset: { class_image: { model: 'segmind/small-sd' } } },
  });
});

void t.test('TypeScript: inherits imported configs and paths, and is any plain module', async (t) => {
  const { config } = await load(t, {
    'base.yaml': 'a: 1\nb: { c: 2 }\n',
    'other.ts': "export default { d: ['x'] };\n",
    'main.ts':
      "import { defineConfig, ref } from 'diffengine';\nimport other from './other';\nconst seed: number = 3;\nexport default defineConfig({ _base_: [other as never, './base.yaml'], randomness: { seed }, work_dir: ref('b.c') as never });\n",
  });
  t.strictSame(config, { a: 1, b: { c: 2 }, d: ['x'], randomness: { seed: 3 }, work_dir: 2 });
});

void t.test('a config loads in a project without "type": "module", also from JavaScript', async (t) => {
  const project = { 'package.json': '{"name":"mine"}' };
  t.strictSame((await load(t, { ...project, 'main.ts': 'export default { a: 1 as number };' })).config, { a: 1 });
  t.strictSame((await load(t, { ...project, 'main.mjs': 'export default { a: 2 };' })).config, { a: 2 });
});

void t.test('bases that disagree are refused with both files, unless the config decides', async (t) => {
  const files = {
    'one.yaml': 'train_cfg: { max_iters: 10 }\n',
    'two.yaml': 'train_cfg: { max_iters: 20 }\n',
    'deep.yaml': '_base_: two.yaml\n',
  };
  await fails(
    t,
    { ...files, 'main.yaml': '_base_: [one.yaml, deep.yaml]\n' },
    /^train_cfg\.max_iters: set to 10 by \S*one\.yaml and to 20 by \S*two\.yaml; set it in the config that inherits from both, or in only one of them$/,
  );
  t.strictSame(
    (await load(t, { ...files, 'main.yaml': '_base_: [one.yaml, two.yaml]\ntrain_cfg: { max_iters: 5 }\n' })).config,
    { train_cfg: { max_iters: 5 } },
  );
  t.strictSame(
    (
      await load(t, {
        ...files,
        'same.yaml': 'train_cfg: { max_iters: 10 }\n',
        'main.yaml': '_base_: [one.yaml, same.yaml]\n',
      })
    ).config,
    { train_cfg: { max_iters: 10 } },
    'they may agree',
  );
  await fails(
    t,
    { ...files, 'scalar.yaml': 'train_cfg: 5\n', 'main.yaml': '_base_: [one.yaml, scalar.yaml]\n' },
    /^train_cfg: set to \{"max_iters":10\} by \S*one\.yaml and to 5 by \S*scalar\.yaml/,
  );
});

void t.test('a base that changes the type of another base is refused as a conflict', async (t) => {
  await fails(
    t,
    {
      'one.yaml': 'opt: { type: A, lr: 1 }\n',
      'two.yaml': 'opt: { type: B }\n',
      'main.yaml': '_base_: [one.yaml, two.yaml]\n',
    },
    /^opt\.type: set to "A" by \S*one\.yaml and to "B" by \S*two\.yaml/,
  );
});

void t.test('origins: the file of each value, in its source form, and --cfg-options', async (t) => {
  const { origins } = await load(
    t,
    {
      'main.ts':
        "import { defineConfig } from 'diffengine';\nimport model from 'diffengine/configs/_base_/models/tiny_sd_lora';\nexport default defineConfig({ _base_: [model], model: { loss: { type: 'L2Loss' } } });\n",
    },
    ['model.unet_lora_config.r=4'],
  );
  t.equal(origins.get('model.model'), 'configs/_base_/models/tiny_sd_lora.ts');
  t.equal(origins.get('model.unet_lora_config.r'), '--cfg-options');
  t.match(origins.get('model.loss.type'), /main\.ts$/);
  const { config } = await loadConfig('small_sd_dreambooth_lora_dog');
  const builtIn = (await loadConfig('small_sd_dreambooth_lora_dog')).origins;
  for (const [path] of leaves(config)) t.match(builtIn.get(path), /^configs\/.*\.ts$/, path);
});

void t.test('custom_imports: absolute, from the folder of the file that lists them', async (t) => {
  const folder = t.testdir({
    sub: { 'base.yaml': 'custom_imports: [./hook.ts]\n' },
    'main.yaml': '_base_: sub/base.yaml\n',
  });
  t.strictSame((await loadConfig(join(folder, 'main.yaml'))).config, {
    custom_imports: [join(folder, 'sub', 'hook.ts')],
  });
});

void t.test('mistakes in files name the file, and the line of a syntax error', async (t) => {
  await fails(t, { 'main.ts': 'export default {\n  a: 1,\n  b: [1, 2,\n};\n' }, /main\.ts:4: .+; mend the syntax$/);
  await fails(t, { 'main.mjs': 'export default {\n  a: 1\n  b: 2\n};\n' }, /main\.mjs:3: .+; mend the syntax$/);
  await fails(
    t,
    { 'main.js': 'export default { a: 1 };\n', 'package.json': '{ "type": "commonjs" }' }, // as npm init writes it
    /main\.js: is read as CommonJS \(Unexpected token 'export'\); add "type": "module" to the package\.json of its folder, or name it \.mjs or \.ts$/,
  );
  await fails(t, { 'main.yaml': 'a: 1\nb: [1, 2\nc: 3\n' }, /main\.yaml:[23]: .+; mend the YAML$/);
  await fails(t, { 'main.yaml': 'a: 1\na: 2\n' }, /main\.yaml:2: Map keys must be unique; mend the YAML$/);
  await fails(
    t,
    { 'main.yaml': '- a\n- b\n' },
    /main\.yaml: does not give a config object; the top level must be a mapping$/,
  );
  await fails(
    t,
    { 'main.ts': 'export const config = {};\n' },
    /main\.ts: does not give a config object; write export default defineConfig\(\{ \.\.\. \}\)$/,
  );
  await fails(
    t,
    { 'main.ts': "import x from './missing';\nexport default { x };\n" },
    /main\.ts: Cannot find module .*missing.*; check the import$/,
  );
  await fails(
    t,
    { 'main.ts': "import { define } from 'diffengine';\nexport default define({});\n" },
    /main\.ts.*does not provide an export named 'define'; check the import$/,
  );
  await fails(
    t,
    { 'main.ts': 'const x: any = undefined;\nexport default { a: x.y };\n' },
    /main\.ts: stops with TypeError: Cannot read properties of undefined \(reading 'y'\); mend it/,
  );
  await fails(
    t,
    { 'main.ts': 'export default { model: () => 1 };\n' },
    /^model: a function "model" \(set by \S*main\.ts\); a config holds plain values only: texts, numbers, true, false, null, lists and objects$/,
  );
  await fails(
    t,
    { 'main.ts': 'export default { a: { list: [1, new Map()] } };\n' },
    /^a\.list\.1: a Map \(set by \S*main\.ts\); a config holds plain values only/,
  );
});

void t.test('missing files are answered with the nearest name', async (t) => {
  const folder = t.testdir({
    'my_dog.ts': 'export default {};\n',
    'base.yaml': '_base_: ./bse.yaml\n',
    'circle.yaml': '_base_: ./circle.yaml\n',
  });
  const path = (name: string): string => join(folder, name);
  await t.rejects(loadConfig(path('my_dgo.ts')), {
    name: 'UserError',
    message: `${path('my_dgo.ts')}: no such config file; did you mean "my_dog.ts"?`,
  });
  await t.rejects(loadConfig(path('my_dog')), {
    name: 'UserError',
    message: `${path('my_dog')}: no built-in config of that name; did you mean the file ${path('my_dog.ts')}?`,
  });
  await t.rejects(loadConfig('small_sd_dreambooth_lora_dgo'), {
    name: 'UserError',
    message:
      'small_sd_dreambooth_lora_dgo: no built-in config of that name; did you mean "small_sd_dreambooth_lora_dog"?',
  });
  await t.rejects(loadConfig(path('base.yaml')), {
    name: 'UserError',
    message: /base\.yaml: _base_ ".\/bse\.yaml": no such config file; did you mean "base\.yaml"\?$/,
  });
  await t.rejects(loadConfig(path('circle.yaml')), {
    name: 'UserError',
    message: /circle\.yaml: _base_ goes in a circle: /,
  });
});

void t.test('the DreamBooth configs are these, each under a name of its own', async (t) => {
  t.strictSame([...(await builtInConfigs()).keys()].filter((name) => name.includes('dreambooth')).sort(), [
    'small_sd_dreambooth_lora_dog',
    'small_sd_dreambooth_lora_dog_cpu',
    'small_sd_dreambooth_lora_keramer_face',
    'stable_diffusion_v15_dreambooth_lora_dog',
    'tiny_random_sd_dreambooth_lora_dog',
    'tiny_sd_dreambooth_lora_dog',
    'tiny_sd_dreambooth_lora_dog_cpu',
    'tiny_sd_dreambooth_lora_keramer_face',
    'toyland_sd_dreambooth_lora_dog',
    'toyland_sd_dreambooth_lora_face',
    'toyland_small_sd_dreambooth_lora_dog',
    'toyland_small_sd_dreambooth_lora_face',
    'toyland_tiny_sd_dreambooth_lora_dog',
    'toyland_tiny_sd_dreambooth_lora_face',
  ]);
});

for (const name of (await builtInConfigs()).keys()) {
  void t.test(`${name}: validates, and its dump loads back as the same config`, async (t) => {
    const { config } = await loadConfig(name);
    const valid = validateConfig(config);
    const file = join(t.testdir(), 'config.yaml');
    for (const tree of [config, valid]) {
      writeFileSync(file, dumpConfig(tree));
      t.strictSame((await loadConfig(file)).config, tree);
    }
    t.strictSame(validateConfig(valid), valid, 'defaults are filled once');
  });
}

const SEED_VALUES = {
  'model.type': 'StableDiffusion',
  'model.unet_lora_config': { type: 'LoRA', r: 8, lora_alpha: 8, target_modules: ['to_q', 'to_k', 'to_v', 'to_out.0'] },
  'optim_wrapper.optimizer': { type: 'AdamW', lr: 1e-4, weight_decay: 1e-2 },
  'optim_wrapper.clip_grad': { max_norm: 1 },
  train_cfg: { type: 'IterBasedTrainLoop', max_iters: 1000 },
  'train_dataloader.batch_size': 4,
  'train_dataloader.sampler': { type: 'InfiniteSampler', shuffle: true },
  'train_dataloader.dataset.type': 'DreamBoothDataset',
  'train_dataloader.dataset.class_image.num_images': 200,
  'train_dataloader.dataset.pipeline': [
    { type: 'Resize', size: 512, interpolation: 'bilinear' },
    { type: 'RandomCrop', size: 512 },
    { type: 'RandomHorizontalFlip', p: 0.5 },
    { type: 'ToTensor' },
    { type: 'Normalize', mean: [0.5], std: [0.5] },
    { type: 'PackInputs' },
  ],
  'default_hooks.checkpoint': { type: 'CheckpointHook', interval: 100, max_keep_ckpts: 3 },
  'custom_hooks.preview.interval': 100,
  'custom_hooks.peft': { type: 'PeftSaveHook' },
};

const SEED_CONFIGS = [
  {
    name: 'small_sd_dreambooth_lora_dog',
    model: 'segmind/small-sd',
    data: 'diffusers/dog-example',
    noun: 'dog',
    prompt: 'A photo of sks dog in a bucket',
  },
  {
    name: 'small_sd_dreambooth_lora_keramer_face',
    model: 'segmind/small-sd',
    data: 'diffusers/keramer-face-example',
    noun: 'person',
    prompt: 'a photo of sks person in suits',
  },
  {
    name: 'tiny_sd_dreambooth_lora_dog',
    model: 'segmind/tiny-sd',
    data: 'diffusers/dog-example',
    noun: 'dog',
    prompt: 'A photo of sks dog in a bucket',
  },
  {
    name: 'tiny_sd_dreambooth_lora_keramer_face',
    model: 'segmind/tiny-sd',
    data: 'diffusers/keramer-face-example',
    noun: 'person',
    prompt: 'a photo of sks person in suits',
  },
  {
    name: 'stable_diffusion_v15_dreambooth_lora_dog',
    model: 'runwayml/stable-diffusion-v1-5',
    data: 'diffusers/dog-example',
    noun: 'dog',
    prompt: 'A photo of sks dog in a bucket',
  },
];

for (const { name, model, data, noun, prompt } of SEED_CONFIGS) {
  void t.test(`${name}: has the values of the original`, async (t) => {
    const { config } = await loadConfig(name);
    const expected = {
      ...SEED_VALUES,
      'model.model': model,
      'train_dataloader.dataset.dataset': data,
      'train_dataloader.dataset.instance_prompt': `a photo of sks ${noun}`,
      'train_dataloader.dataset.class_prompt': `a photo of ${noun}`,
      'train_dataloader.dataset.class_image.model': model,
      'custom_hooks.preview.prompt': [prompt, prompt, prompt, prompt],
    };
    for (const [path, value] of Object.entries(expected)) t.strictSame(getPath(config, path), value, path);
  });
}

void t.test('class pictures come from the model that the command line names', async (t) => {
  const { config } = await loadConfig('small_sd_dreambooth_lora_dog', ['model.model=./mine']);
  t.equal(getPath(config, 'train_dataloader.dataset.class_image.model'), './mine');
});

void t.test(
  'size: one number for all places that take it; refused where it is none, and where nothing takes it',
  async (t) => {
    const { config, size } = await loadConfig('tiny_random_sd_dreambooth_lora_dog', ['size=128']);
    const { pipeline, class_image } = (config['train_dataloader'] as { dataset: Record<string, unknown> }).dataset;
    t.match(pipeline, [
      { type: 'Resize', size: 128 },
      { type: 'RandomCrop', size: 128 },
    ]);
    t.match(class_image, { size: 128 });
    t.match(config['custom_hooks'], { preview: { height: 128, width: 128 } });
    t.equal(size, 128);
    t.notOk('size' in config, 'the copy in the work dir has the values');
    const refused = (options: string[], message: RegExp): Promise<unknown> =>
      t.rejects(loadConfig('tiny_random_sd_dreambooth_lora_dog', options), { name: 'UserError', message });
    await refused(['size=100'], /^size: 100 is no side of a picture; give pixels, a multiple of 8$/);
    const none = ['train_dataloader=null', 'custom_hooks=null'];
    await refused(['size=128', ...none], /^size: nothing in this config takes it; write ref\('size'\)/);
    t.ok(await loadConfig('small_sd_dreambooth_lora_dog', none), 'one that is inherited may be of no use');
  },
);
