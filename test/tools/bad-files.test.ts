/** Models, adapters and pictures that cannot be used: exit code 1, one message, no stack, nothing half-written. */
import { copyFileSync, existsSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import t from 'tap';
import { golden, skipGolden } from '../golden.js';
import { edit, Project, refuses, SMALL_CONFIG, type Finished } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const option = (project: Project, ...options: string[]): Promise<Finished> =>
  project.run(['train', 'my.yaml', '--cfg-options', ...options]);

const UNET = 'model/unet/diffusion_pytorch_model.safetensors',
  BIN = 'model/unet/diffusion_pytorch_model.bin';
const BAD_MODELS: readonly { name: string; spoil: (project: Project) => void; message: string | RegExp }[] = [
  {
    name: 'without weights',
    spoil: (p) => rmSync(p.file(UNET)),
    message: /^diffengine: \.\/model\/unet: no weights; looked for diffusion_pytorch_model\.safetensors, .+\n$/,
  },
  {
    name: 'without a config.json',
    spoil: (p) => rmSync(p.file('model/vae/config.json')),
    message: './model/vae/config.json: missing; every component has one',
  },
  {
    name: 'without a vocabulary',
    spoil: (p) => rmSync(p.file('model/tokenizer/vocab.json')),
    message: /^diffengine: \.\/model\/tokenizer\/vocab\.json: .+\n$/,
  },
  {
    name: 'without model_index.json',
    spoil: (p) => rmSync(p.file('model/model_index.json')),
    message: './model/model_index.json: missing; a diffusers pipeline folder has one',
  },
  {
    name: 'with truncated weights',
    spoil: (p) => truncateSync(p.file(UNET), statSync(p.file(UNET)).size - 1000),
    message:
      /^diffengine: \.\/model\/unet\/diffusion_pytorch_model\.safetensors: tensor ".+": its data ends at byte \d+, the file at \d+ \(truncated\); download or write the file again\n$/,
  },
  {
    name: 'with weights of another shape',
    spoil: (p) => edit(p.file('model/unet/config.json'), '"in_channels": 4', '"in_channels": 5'),
    message:
      './model/unet/diffusion_pytorch_model.safetensors: tensor "conv_in.weight" has shape [16,4,3,3], the config.json asks for [16,5,3,3]; the weights do not belong to it',
  },
  {
    name: 'with a config that is not JSON',
    spoil: (p) => writeFileSync(p.file('model/unet/config.json'), '{"in_channels": 4,'),
    message: /^diffengine: \.\/model\/unet\/config\.json: not JSON \(.+\); download it again\n$/,
  },
  {
    name: 'with a noise schedule of another kind',
    spoil: (p) => edit(p.file('model/scheduler/scheduler_config.json'), '"scaled_linear"', '"cubic"'),
    message: /^diffengine: .*beta_schedule.*"cubic".+\n$/,
  },
  {
    name: 'with a corrupt .bin',
    spoil: (p) => {
      rmSync(p.file(UNET));
      writeFileSync(p.file(BIN), 'not a zip');
    },
    message: /^diffengine: \.\/model\/unet\/diffusion_pytorch_model\.bin: not a PyTorch file .+; download it again\n$/,
  },
];

for (const { name, spoil, message } of BAD_MODELS) {
  void t.test(`train: a model folder ${name} is refused by file`, async (t) => {
    const project = Project.create(t);
    project.copyModel('model');
    spoil(project);
    refuses(t, project, await option(project, 'model.model=./model'), message);
  });
}

void t.test(
  'train: a .bin that would run code is refused by the name of what it wants; nothing runs',
  { skip: skipGolden },
  async (t) => {
    const project = Project.create(t);
    project.copyModel('model');
    rmSync(project.file(UNET));
    copyFileSync(golden('pytorch-bin', 'malicious.bin'), project.file(BIN));
    refuses(
      t,
      project,
      await option(project, 'model.model=./model'),
      /^diffengine: \.\/model\/unet\/diffusion_pytorch_model\.bin: refused, .*"posix\.system".+nothing was executed.+\n$/,
    );
    t.strictSame(readdirSync(project.file('model/unet')).sort(), ['config.json', 'diffusion_pytorch_model.bin']);
    t.strictSame(
      project.files().filter((name) => name.endsWith('.safetensors') && name.startsWith('.cache')),
      [],
    );
  },
);

void t.test('train: pictures that are not there or not readable are named', async (t) => {
  const project = Project.create(t, { 'my.yaml': SMALL_CONFIG, 'empty/notes.txt': 'x', 'bad/1.png': 'not a png' });
  refuses(
    t,
    project,
    await option(project, 'train_dataloader.dataset.dataset=./empty'),
    './empty: no pictures in it (1 other files); put .png, .jpg, .webp, .gif, .bmp, .tif, .avif or .parquet files there',
  );
  refuses(
    t,
    project,
    await option(project, 'train_dataloader.dataset.dataset=./bad'),
    /^diffengine: \.\/bad\/1\.png: not a readable picture \(9 bytes, of no known kind: .+\); save it as \.png or \.jpg, or remove it\n$/,
  );
  refuses(
    t,
    project,
    await option(project, 'train_dataloader.dataset.dataset=./nowhere'),
    /^diffengine: \.\/nowhere: .+\n$/,
  );
});

void t.test('train: a hub that does not answer, for a model and for a data set', async (t) => {
  const hub = `http://127.0.0.1:${await closedPort()}`,
    project = Project.create(t);
  for (const [path, id] of [
    ['model.model', 'segmind/small-sd'],
    ['train_dataloader.dataset.dataset', 'diffusers/dog-example'],
  ]) {
    const finished = await project.run(['train', 'my.yaml', '--cfg-options', `${path}=${id}`], { HF_ENDPOINT: hub });
    refuses(
      t,
      project,
      finished,
      new RegExp(`^diffengine: ${id}: .*${hub} cannot be reached \\(.+\\); give a local folder, .+\n$`),
    );
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

void t.test('demo_lora: an adapter is not rendered on another base than the one it was trained on', async (t) => {
  const project = Project.create(t);
  t.equal((await project.run(['train', 'my.yaml'])).code, 0);
  const demo = ['demo_lora', 'a photo of sks dog', 'work_dirs/my/step1', '--steps', '1', '--guidance', '1'];
  t.match(await project.run([...demo, '--out', 'dog.png']), { code: 0, err: '' });
  t.equal((await project.run(['make-model', 'tiny-random', '--out', 'other', '--seed', '5'])).code, 0);
  const refused = await project.run([...demo, '--sdmodel', './other', '--out', 'other.png']);
  t.equal(refused.code, 1);
  t.match(
    refused.err,
    /^diffengine: \S+adapter_model\.safetensors: trained on "package:assets\/tiny-random-sd" \(weights [0-9a-f]{12}\), not on "\.\/other" \(weights [0-9a-f]{12}\); use the base model it was trained on\n$/,
  );
  t.strictSame(
    project.files().filter((name) => name.endsWith('.png')),
    ['dog.png'],
  );
});
