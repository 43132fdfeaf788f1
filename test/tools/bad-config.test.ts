/** Configs that cannot be used, and runs that go wrong: exit code 1, one message, no stack, nothing half-written. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { Project, refuses, SMALL_CONFIG, type Finished } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const train = (project: Project, ...args: string[]): Promise<Finished> => project.run(['train', 'my.yaml', ...args]);
const option = (project: Project, ...options: string[]): Promise<Finished> =>
  train(project, '--cfg-options', ...options);

const FILES = { 'my.yaml': SMALL_CONFIG };
const BAD_CONFIGS: readonly {
  name: string;
  args: readonly string[];
  files: Record<string, string>;
  message: string | RegExp;
}[] = [
  {
    name: 'a missing config file',
    args: ['my_dgo.ts'],
    files: { 'my_dog.ts': '' },
    message: 'my_dgo.ts: no such config file; did you mean "my_dog.ts"?',
  },
  {
    name: 'a missing built-in config',
    args: ['smal_sd_dreambooth_lora_dog'],
    files: {},
    message:
      'smal_sd_dreambooth_lora_dog: no built-in config of that name; did you mean "small_sd_dreambooth_lora_dog"?',
  },
  {
    name: 'a syntax error in TypeScript',
    args: ['my.ts'],
    files: { 'my.ts': "import { defineConfig } from 'diffengine';\nexport default defineConfig({\n  model: {\n});\n" },
    message: "./my.ts:4: ',' expected.; mend the syntax",
  },
  {
    name: 'a syntax error in YAML',
    args: ['my.yaml'],
    files: { 'my.yaml': 'model:\n  type: StableDiffusion\n model: x\n' },
    message: /^diffengine: \.\/my\.yaml:3: .+; mend the YAML\n$/,
  },
  {
    name: 'an unknown key',
    args: ['my.yaml'],
    files: { 'my.yaml': `${SMALL_CONFIG}\ntrain_config: {}\n` },
    message: 'train_config: unknown option; did you mean "train_cfg"?',
  },
  {
    name: 'an unknown option',
    args: ['my.yaml', '--cfg-options', 'model.unet_lora_config.lora_alfa=5'],
    files: FILES,
    message: 'model.unet_lora_config.lora_alfa: unknown option; did you mean "lora_alpha"?',
  },
  {
    name: 'a wrong type',
    args: ['my.yaml', '--cfg-options', 'optim_wrapper.optimizer.lr=high'],
    files: FILES,
    message: 'optim_wrapper.optimizer.lr: expected number, got "high"',
  },
  {
    name: 'a loss scale without AmpOptimWrapper',
    args: ['my.yaml', '--cfg-options', 'optim_wrapper.loss_scale=512'],
    files: FILES,
    message:
      "optim_wrapper.loss_scale: 512, and optim_wrapper.type is OptimWrapper, which computes in float32 and scales nothing; set type: 'AmpOptimWrapper', or leave loss_scale out",
  },
  {
    name: 'an unknown component',
    args: ['my.yaml', '--cfg-options', 'model.loss={type: L2Lose}'],
    files: FILES,
    message: 'model.loss.type: unknown loss "L2Lose"; did you mean "L2Loss"?',
  },
  {
    name: 'a mistake in each of two places',
    args: ['my.yaml', '--cfg-options', 'train_cfg.max_iters=0', 'model.loss={type: L2Lose}'],
    files: FILES,
    message: 'train_cfg.max_iters: 0 must be >= 1\nmodel.loss.type: unknown loss "L2Lose"; did you mean "L2Loss"?',
  },
  {
    name: 'a missing file of custom_imports',
    args: ['my.yaml', '--cfg-options', 'custom_imports=[./hok.ts]'],
    files: FILES,
    message: /^diffengine: \.\/hok\.ts: Cannot find module .+; check the import\n$/,
  },
];

for (const { name, args, files, message } of BAD_CONFIGS) {
  void t.test(`train: ${name} is one message, before anything is written`, async (t) => {
    const project = Project.create(t, files);
    refuses(t, project, await project.run(['train', ...args]), message);
    t.strictSame(project.files(), Object.keys(files));
  });
}

void t.test('train: a work dir that cannot be made is one message', async (t) => {
  const project = Project.create(t);
  refuses(
    t,
    project,
    await train(project, '--work-dir', 'my.yaml/out'),
    /^diffengine: \.\/my\.yaml\/out: cannot be written: .+; choose another place with --work-dir\n$/,
  );
  if (existsSync('/proc/self'))
    refuses(
      t,
      project,
      await train(project, '--work-dir', '/proc/nothing'),
      '/proc/nothing: cannot be written: no folder can be made there; choose another place with --work-dir',
    );
  t.strictSame(project.files(), ['my.yaml']);
});

void t.test(
  'train: a loss that is no number stops the run, names the iteration and keeps the last good checkpoint',
  async (t) => {
    const project = Project.create(t);
    const { code, err } = await option(
      project,
      'optim_wrapper.optimizer.lr=1e30',
      'train_cfg.max_iters=5',
      'work_dir=out',
    );
    t.equal(code, 1);
    t.match(
      err,
      /^diffengine: iteration 1: loss is (NaN|Infinity) \(learning rate 1e\+30\); nothing of this iteration was saved\. Try a lower .+\n$/,
    );
    t.strictSame(
      readdirSync(project.file('out')).filter((name) => /step|tmp/.test(name)),
      ['step0'],
    );
    t.match(readFileSync(project.file('out/last_checkpoint'), 'utf8'), /step0\n?$/);
    t.ok(existsSync(project.file('out/step0/unet/adapter_model.safetensors')));
  },
);

void t.test('train: a prompt of more than 77 tokens is cut with a warning, and the run goes on', async (t) => {
  const project = Project.create(t);
  const prompt = Array(80).fill('dog').join(' ');
  const { code, out, err } = await option(project, `train_dataloader.dataset.instance_prompt=${prompt}`);
  t.equal(code, 0);
  t.equal(err, `warning: prompt: longer than 77 tokens, the end is cut off: "${prompt}"\n`);
  t.match(out, /done: work_dirs\/my\/step1\/unet\/adapter_model\.safetensors/);
});

void t.test('list-cfg and copy-cfg: mistakes are named, and no file is written over', async (t) => {
  const project = Project.create(t, { 'mine.ts': 'my work' });
  const copy = (...args: string[]): Promise<Finished> =>
    project.run(['copy-cfg', 'tiny_sd_dreambooth_lora_dog', ...args]);
  refuses(t, project, await copy('mine.ts'), 'mine.ts: is there already; choose another name, or add --force');
  refuses(t, project, await copy('nowhere/mine.ts'), 'nowhere/mine.ts: cannot be written (ENOENT); check the folder');
  t.equal(readFileSync(project.file('mine.ts'), 'utf8'), 'my work');
  refuses(
    t,
    project,
    await project.run(['list-cfg', 'sdxl']),
    /^diffengine: sdxl: no built-in config has that in its name; known: .*small_sd_dreambooth_lora_dog, .+\n$/,
  );
  t.equal((await copy('mine.ts', '--force')).code, 0);
  t.match(readFileSync(project.file('mine.ts'), 'utf8'), 'defineConfig');
});
