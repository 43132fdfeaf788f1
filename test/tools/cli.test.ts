/** What a user sees of the command line: bad input in one readable message, help, and the commands that show configs. */
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { golden, skipGolden } from '../golden.js';
import { Project, SMALL_CONFIG, type Finished } from '../fixtures/tools/cli.js';

/** Exit code 1, one message, no stack, nothing half-written. */
function refuses(t: Test, project: Project, { code, out, err }: Finished, message: string | RegExp): void {
  const text = err.replaceAll(project.path, '.');
  t.equal(code, 1, out);
  if (typeof message === 'string') t.equal(text, `diffengine: ${message}\n`);
  else t.match(text, message);
  t.notMatch(err, /\n\s+at |looks like a defect/, 'no stack, and not our fault');
  t.strictSame(project.files().filter((name) => /\.tmp|\.old-|step\d/.test(name)), [], 'nothing half-written');
}

const train = (project: Project, ...args: string[]): Promise<Finished> => project.run(['train', 'my.yaml', ...args]);
const option = (project: Project, ...options: string[]): Promise<Finished> => train(project, '--cfg-options', ...options);

const BAD_CONFIGS: readonly { name: string; args?: string[]; files: Record<string, string>; message: string | RegExp }[] = [
  { name: 'a missing config file', args: ['my_dgo.ts'], files: { 'my_dog.ts': '' }, message: 'my_dgo.ts: no such config file; did you mean "my_dog.ts"?' },
  { name: 'a missing built-in config', args: ['smal_sd_dreambooth_lora_dog'], files: {}, message: 'smal_sd_dreambooth_lora_dog: no built-in config of that name; did you mean "small_sd_dreambooth_lora_dog"?' },
  { name: 'a syntax error in TypeScript', files: { 'my.ts': "import { defineConfig } from 'diffengine';\nexport default defineConfig({\n  model: {\n});\n" }, message: './my.ts:4: Expression or comma expected.; mend the syntax' },
  { name: 'a syntax error in YAML', files: { 'my.yaml': 'model:\n  type: StableDiffusion\n model: x\n' }, message: /^diffengine: \.\/my\.yaml:3: .+; mend the YAML\n$/ },
  { name: 'an unknown key', files: { 'my.yaml': `${SMALL_CONFIG}\ntrain_config: {}\n` }, message: 'train_config: unknown option; did you mean "train_cfg"?' },
  { name: 'an unknown option', args: ['my.yaml', '--cfg-options', 'custom_hooks.peft.intervall=5'], files: { 'my.yaml': SMALL_CONFIG }, message: /^diffengine: custom_hooks\.peft\.intervall: unknown option; .+\n$/ },
  { name: 'a wrong type', args: ['my.yaml', '--cfg-options', 'optim_wrapper.optimizer.lr=high'], files: { 'my.yaml': SMALL_CONFIG }, message: 'optim_wrapper.optimizer.lr: expected number, got "high"' },
  { name: 'an unknown component', args: ['my.yaml', '--cfg-options', 'model.loss={type: L2Lose}'], files: { 'my.yaml': SMALL_CONFIG }, message: 'model.loss.type: unknown loss "L2Lose"; did you mean "L2Loss"?' },
  { name: 'several mistakes', args: ['my.yaml', '--cfg-options', 'train_cfg.max_iters=0', 'model.loss={type: L2Lose}'], files: { 'my.yaml': SMALL_CONFIG }, message: 'model.loss.type: unknown loss "L2Lose"; did you mean "L2Loss"?\ntrain_cfg.max_iters: 0 must be >= 1' },
  { name: 'a missing custom import', args: ['my.yaml', '--cfg-options', 'custom_imports=[./hok.ts]'], files: { 'my.yaml': SMALL_CONFIG }, message: /^diffengine: \.\/hok\.ts: Cannot find module .+; check the import\n$/ },
];

for (const { name, args, files, message } of BAD_CONFIGS) {
  void t.test(`train: ${name} is one message, before anything is written`, async (t) => {
    const project = Project.create(t, files);
    refuses(t, project, await project.run(['train', ...(args ?? [Object.keys(files)[0]])]), message);
    t.strictSame(project.files(), Object.keys(files));
  });
}

const UNET = 'model/unet/diffusion_pytorch_model.safetensors';
const BAD_MODELS: readonly { name: string; spoil: (project: Project) => void; message: string | RegExp }[] = [
  { name: 'without weights', spoil: (p) => rmSync(p.file(UNET)), message: /^diffengine: \.\/model\/unet: no weights; looked for diffusion_pytorch_model\.safetensors, .+\n$/ },
  { name: 'without a config.json', spoil: (p) => rmSync(p.file('model/vae/config.json')), message: './model/vae/config.json: missing; every component has one' },
  { name: 'without a vocabulary', spoil: (p) => rmSync(p.file('model/tokenizer/vocab.json')), message: /^diffengine: \.\/model\/tokenizer\/vocab\.json: .+\n$/ },
  { name: 'without model_index.json', spoil: (p) => rmSync(p.file('model/model_index.json')), message: './model/model_index.json: missing; a diffusers pipeline folder has one' },
  { name: 'with truncated weights', spoil: (p) => truncateSync(p.file(UNET), statSync(p.file(UNET)).size - 1000), message: /^diffengine: \.\/model\/unet\/diffusion_pytorch_model\.safetensors: tensor ".+": its data ends at byte \d+, the file at \d+ \(truncated\); download or write the file again\n$/ },
  { name: 'with weights of another shape', spoil: (p) => edit(p.file('model/unet/config.json'), '"in_channels": 4', '"in_channels": 5'), message: './model/unet/diffusion_pytorch_model.safetensors: tensor "conv_in.weight" has shape [16,4,3,3], the config.json asks for [16,5,3,3]; the weights do not belong to it' },
  { name: 'with a config that is not JSON', spoil: (p) => writeFileSync(p.file('model/unet/config.json'), '{"in_channels": 4,'), message: /^diffengine: \.\/model\/unet\/config\.json: not JSON \(.+\); download it again\n$/ },
  { name: 'with an unknown scheduler field', spoil: (p) => edit(p.file('model/scheduler/scheduler_config.json'), '{', '{\n  "thresholding": true,'), message: /thresholding true is not supported/ },
  { name: 'with random bytes for weights', spoil: (p) => { rmSync(p.file(UNET)); writeFileSync(p.file('model/unet/diffusion_pytorch_model.bin'), 'not a zip'); }, message: /^diffengine: \.\/model\/unet\/diffusion_pytorch_model\.bin: not a PyTorch file .+; download it again\n$/ },
];

function edit(file: string, from: string, to: string): void {
  const text = readFileSync(file, 'utf8');
  if (!text.includes(from)) throw new Error(`${file}: no ${from} in it`);
  writeFileSync(file, text.replace(from, to));
}

for (const { name, spoil, message } of BAD_MODELS) {
  void t.test(`train: a model folder ${name} is refused by file`, async (t) => {
    const project = Project.create(t);
    project.copyModel('model');
    spoil(project);
    refuses(t, project, await option(project, 'model.model=./model'), message);
  });
}

void t.test('train: a .bin that would run code is refused by the name of what it wants; nothing runs', { skip: skipGolden }, async (t) => {
  const project = Project.create(t);
  project.copyModel('model');
  rmSync(project.file(UNET));
  copyFileSync(golden('pytorch-bin', 'malicious.bin'), project.file('model/unet/diffusion_pytorch_model.bin'));
  refuses(t, project, await option(project, 'model.model=./model'), /^diffengine: \.\/model\/unet\/diffusion_pytorch_model\.bin: refused, .*"posix\.system".+nothing was executed.+\n$/);
  t.strictSame(readdirSync(project.file('model/unet')).sort(), ['config.json', 'diffusion_pytorch_model.bin']);
});

void t.test('train: pictures that are not there or not readable are named', async (t) => {
  const project = Project.create(t, { 'my.yaml': SMALL_CONFIG, 'empty/notes.txt': 'x', 'bad/1.png': 'not a png' });
  refuses(t, project, await option(project, 'train_dataloader.dataset.dataset=./empty'), './empty: no pictures in it (1 other files); put .png, .jpg, .jpeg, .webp or .parquet files there');
  refuses(t, project, await option(project, 'train_dataloader.dataset.dataset=./bad'), /^diffengine: \.\/bad\/1\.png: not a readable picture \(9 bytes: .+\); replace or remove it\n$/);
  refuses(t, project, await option(project, 'train_dataloader.dataset.dataset=./nowhere'), /^diffengine: \.\/nowhere: .+\n$/);
});

void t.test('train: a work dir that cannot be made is one message', async (t) => {
  const project = Project.create(t);
  refuses(t, project, await train(project, '--work-dir', 'my.yaml/out'), /^diffengine: \.\/my\.yaml\/out: cannot be written: .+; choose another place with --work-dir\n$/);
  if (existsSync('/proc/self')) refuses(t, project, await train(project, '--work-dir', '/proc/nothing'), '/proc/nothing: cannot be written: no folder can be made there; choose another place with --work-dir');
  t.strictSame(project.files(), ['my.yaml']);
});

void t.test('train: a loss that is no number stops the run, names the iteration and keeps the last good checkpoint', async (t) => {
  const project = Project.create(t);
  const { code, err } = await option(project, 'optim_wrapper.optimizer.lr=1e30', 'train_cfg.max_iters=5', 'work_dir=out');
  t.equal(code, 1);
  t.match(err, /^diffengine: iteration 1: loss is (NaN|Infinity) \(learning rate 1e\+30\); nothing of this iteration was saved\. Try a lower .+\n$/);
  t.strictSame(readdirSync(project.file('out')).filter((name) => name.startsWith('step')), ['step0']);
  t.equal(readFileSync(project.file('out/last_checkpoint'), 'utf8').trim(), 'step0');
  t.ok(existsSync(project.file('out/step0/unet/adapter_model.safetensors')));
});

void t.test('train: a prompt of more than 77 tokens is cut with a warning, and the run goes on', async (t) => {
  const project = Project.create(t);
  const prompt = Array(80).fill('dog').join(' ');
  const { code, out, err } = await option(project, `train_dataloader.dataset.instance_prompt=${prompt}`);
  t.equal(code, 0);
  t.equal(err, `warning: prompt: longer than 77 tokens, the end is cut off: "${prompt}"\n`);
  t.match(out, /done: work_dirs\/my\/step1\/unet\/adapter_model\.safetensors/);
});

void t.test('train: a hub that does not answer, for a model and for a data set', async (t) => {
  const port = await closedPort(), hub = `http://127.0.0.1:${port}`, project = Project.create(t);
  const away = new RegExp(`^diffengine: \\S+: .*${hub}.* cannot be reached \\(.+\\); .+\n$`);
  for (const choice of ['model.model=segmind/small-sd', 'train_dataloader.dataset.dataset=diffusers/dog-example']) {
    const finished = await project.run(['train', 'my.yaml', '--cfg-options', choice], { HF_ENDPOINT: hub });
    refuses(t, project, finished, away);
    t.match(finished.err, choice.split('=')[1]);
  }
  t.notOk(existsSync(project.file('.hf')), 'no cache is started');
});

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

void t.test('demo_lora: renders from a checkpoint, and refuses another base than the one it was trained on', async (t) => {
  const project = Project.create(t);
  t.equal((await train(project)).code, 0);
  const checkpoint = 'work_dirs/my/step1', demo = ['demo_lora', 'a photo of sks dog', checkpoint, '--steps', '1', '--guidance', '1'];
  t.match(await project.run([...demo, '--out', 'dog.png']), { code: 0, out: 'wrote dog.png\n', err: '' });
  t.equal((await project.run(['make-model', 'tiny-random', '--out', 'other', '--seed', '5'])).code, 0);
  const refused = await project.run([...demo, '--sdmodel', './other', '--out', 'other.png']);
  t.equal(refused.code, 1);
  t.match(refused.err, /adapter_model\.safetensors: trained on "package:assets\/tiny-random-sd" \(weights [0-9a-f]{12}\), not on "\.\/other" \(weights [0-9a-f]{12}\); use the base model it was trained on\n$/);
  t.notMatch(refused.err, /\n\s+at /);
  t.ok(existsSync(project.file('dog.png')));
  t.notOk(existsSync(project.file('other.png')));
});

void t.test('--help: of every command exits 0 and shows an example', async (t) => {
  const project = Project.create(t, {});
  const { code, out } = await project.run(['--help']);
  t.equal(code, 0);
  const commands = [...out.matchAll(/^ {2}([a-z][\w-]+) (?:\[|<)/gm)].map(([, name]) => name);
  for (const known of ['train', 'demo', 'demo_lora', 'list-cfg', 'copy-cfg', 'describe', 'convert']) t.ok(commands.includes(known), known);
  const all = await Promise.all(commands.map(async (name) => ({ name, ...(await project.run([name, '--help'])) })));
  for (const { name, code, out, err } of all) {
    t.equal(code, 0, name);
    t.equal(err, '');
    t.match(out, new RegExp(`Examples?:\\n  diffengine ${name} `), `${name} shows an example`);
  }
});

void t.test('wrong use: an unknown command or option, and a missing argument, point at --help', async (t) => {
  const project = Project.create(t, {});
  for (const [args, message] of [
    [['trian'], "error: unknown command 'trian'\n(Did you mean train?)\n"],
    [['train', 'x.yaml', '--resum'], "error: unknown option '--resum'\n(Did you mean --resume?)\n"],
    [['describe', 'a', 'b'], /^error: too many arguments/],
    [['copy-cfg'], "error: missing required argument 'name'\n"],
  ] as const) {
    const { code, err } = await project.run(args);
    t.equal(code, 1);
    t.match(err, message);
    t.match(err, '(add --help for the options and examples)');
  }
});

void t.test('list-cfg: names and sources; a pattern; nothing found', async (t) => {
  const project = Project.create(t, {});
  t.match(await project.run(['list-cfg', 'keramer']), { code: 0, out: [
    'small_sd_dreambooth_lora_keramer_face  configs/distill_sd_dreambooth/small_sd_dreambooth_lora_keramer_face.ts',
    'tiny_sd_dreambooth_lora_keramer_face   configs/distill_sd_dreambooth/tiny_sd_dreambooth_lora_keramer_face.ts', ''].join('\n') });
  t.equal((await project.run(['list-cfg'])).out.split('\n').length - 1, 6);
  refuses(t, project, await project.run(['list-cfg', 'sdxl']), /^diffengine: sdxl: no built-in config has that in its name; known: small_sd_dreambooth_lora_dog, .+\n$/);
});

void t.test('copy-cfg: a TypeScript file that works in a project of the user', async (t) => {
  const project = Project.create(t, { 'package.json': '{"name":"mine"}' });
  project.installPackage();
  t.match(await project.run(['copy-cfg', 'tiny_random_sd_dreambooth_lora_dog', 'my_dog.ts']), { code: 0, out: 'my_dog.ts\nnext: diffengine train my_dog.ts\n' });
  t.match(readFileSync(project.file('my_dog.ts'), 'utf8'), /^import \{ defineConfig \} from 'diffengine';$/m);
  edit(project.file('my_dog.ts'), 'max_iters: 40', 'max_iters: 1');
  const quick = ['custom_hooks.preview=null', 'train_dataloader.dataset.class_prompt=null', 'train_dataloader.batch_size=1'];
  const { code, out, err } = await project.run(['train', 'my_dog.ts', '--cfg-options', ...quick]);
  t.equal(err, '');
  t.equal(code, 0);
  t.match(out, /done: work_dirs\/my_dog\/step0\/unet\/adapter_model\.safetensors/);
});

void t.test('copy-cfg: never over a file without --force; mistakes are named', async (t) => {
  const project = Project.create(t, { 'mine.ts': 'my work' });
  const copy = (...args: string[]): Promise<Finished> => project.run(['copy-cfg', 'tiny_sd_dreambooth_lora_dog', ...args]);
  refuses(t, project, await copy('mine.ts'), 'mine.ts: is there already; choose another name, or add --force');
  t.equal(readFileSync(project.file('mine.ts'), 'utf8'), 'my work');
  t.equal((await copy('mine.ts', '--force')).code, 0);
  t.match(readFileSync(project.file('mine.ts'), 'utf8'), 'defineConfig');
  refuses(t, project, await copy('nowhere/mine.ts'), 'nowhere/mine.ts: cannot be written (ENOENT); check the folder');
  t.match(await copy(), { code: 0, out: /^tiny_sd_dreambooth_lora_dog\.ts\n/ });
  refuses(t, project, await project.run(['copy-cfg', 'tiny_sd_dreambooth_lora_dgo']), 'tiny_sd_dreambooth_lora_dgo: no built-in config of that name; did you mean "tiny_sd_dreambooth_lora_dog"?');
});

void t.test('describe: a component, its schema, a config, and where each value comes from', async (t) => {
  const project = Project.create(t, { 'mine.ts': [
    "import { defineConfig } from 'diffengine';", "import base from 'diffengine/configs/_base_/schedules/stable_diffusion_1k';",
    'export default defineConfig({ _base_: [base], optim_wrapper: { optimizer: { lr: 1e-3 } }, default_hooks: { checkpoint: null } });'].join('\n') });
  t.match((await project.run(['describe', 'L2Loss'])).out, /^L2Loss \(LOSSES\)\nMean squared error\.\n\noptions:\n {2}loss_weight {2}number, default 1\n/);
  t.match(JSON.parse((await project.run(['describe', 'L2Loss', '--json'])).out), { type: 'object', properties: { loss_weight: { default: 1 } } });
  t.equal((await project.run(['describe', 'mine.ts'])).out, [
    'optim_wrapper:', '  optimizer:', '    type: AdamW', '    lr: 0.001', '    weight_decay: 0.01', '  clip_grad:', '    max_norm: 1',
    'train_cfg:', '  type: IterBasedTrainLoop', '  max_iters: 1000', 'default_hooks: {}', ''].join('\n'));
  const explained = (await project.run(['describe', 'mine.ts', '--explain', '--cfg-options', 'train_cfg.max_iters=5'])).out.replaceAll(/ +/g, ' ');
  t.match(explained, 'optim_wrapper.optimizer.lr = 0.001 # mine.ts\n');
  t.match(explained, 'optim_wrapper.optimizer.weight_decay = 0.01 # configs/_base_/schedules/stable_diffusion_1k.ts\n');
  t.match(explained, 'train_cfg.max_iters = 5 # --cfg-options\n');
  refuses(t, project, await project.run(['describe', 'L2Los']), /^diffengine: L2Los: no component or config of that name; did you mean "L2Loss"\?\n$/);
});

void t.test('--debug: shows the stack, whatever the command', async (t) => {
  const project = Project.create(t, {});
  for (const args of [['describe', 'L2Los'], ['train', 'nowhere.yaml'], ['demo_lora', 'x', 'nowhere']]) {
    t.match(await project.run([...args, '--debug']), { code: 1, err: /^UserError: .+\n\s+at / });
  }
});

void t.test('a closed pipe ends the output, not the command', async (t) => {
  const { spawn } = await import('node:child_process');
  const child = spawn(process.execPath, [join('dist', 'tools', 'cli.js'), 'describe', 'small_sd_dreambooth_lora_dog', '--explain'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let err = '';
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString(); });
  const code = await new Promise((closed) => child.on('close', closed));
  t.strictSame([code, err], [0, '']);
});
