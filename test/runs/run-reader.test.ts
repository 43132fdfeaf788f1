/** What is read of a work dir: files as runs leave them, torn, growing, written anew. */
import { appendFileSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { acquireLock } from '../../src/engine/work-dir-lock.js';
import { trainCommand } from '../../src/library/train-command.js';
import { findRuns } from '../../src/runs/find-runs.js';
import { RunReader } from '../../src/runs/run-reader.js';

const CONFIG = `
model: { type: StableDiffusion, model: some/base }
train_cfg: { max_iters: 4 }
default_hooks:
  checkpoint: { type: CheckpointHook, save_best: CLIP-T }
  logger: { type: LoggerHook, jsonl: numbers.jsonl }
custom_hooks:
  preview: { type: VisualizationHook, prompt: [a dog, a cat], num_inference_steps: 7, guidance_scale: 2, guidance_rescale: 0.3, width: 64 }
visualizer: { type: Visualizer, vis_backends: [{ type: LocalVisBackend, save_dir: shown }] }
`;
/** the beginning of a PNG file of 5 x 4 pixels */
const PNG = Buffer.from('89504e470d0a1a0a0000000d494844520000000500000004080200000000000000', 'hex');
const line = (iter: number, loss: number): string => `{"iter":${iter},"loss":${loss},"lr":0.1}\n`;
const score = (value: number): object => ({
  name: 'CLIP-T',
  better: 'higher',
  value,
  halfWidth: 0.5,
  perSeed: [value],
});

void t.test('curves grow with their file, without what is torn, and begin anew where a resumed run does', async (t) => {
  const path = t.testdir({ 'config.yaml': CONFIG, shown: {} }),
    log = join(path, 'numbers.jsonl'),
    reader = new RunReader(path);
  t.strictSame(await reader.scalars(), {}, 'no file yet');
  writeFileSync(log, `${line(0, 1)}not json\n{"iter":1,"loss":null,"lr":0.1}\n${line(2, 0.5)}{"iter":3,"lo`);
  writeFileSync(join(path, 'shown/scalars.json'), '{"train/loss":9,"time/iter_s":0.25,"step":0}\n');
  t.strictSame(await reader.scalars(), {
    'time/iter_s': { iter: [0], value: [0.25] },
    loss: { iter: [0, 2], value: [1, 0.5] },
    loss_smooth: { iter: [0, 2], value: [1, 0.7474747474747474] }, // (0.98 + 0.5) / 1.98
    lr: { iter: [0, 1, 2], value: [0.1, 0.1, 0.1] },
  });
  appendFileSync(log, `ss":0.25,"lr":0.2}\n${line(4, 2)}`);
  const later = await reader.scalars(3);
  t.strictSame(later['loss'], { iter: [3, 4], value: [0.25, 2] }, 'the torn line is whole now');
  t.strictSame(later['lr'], { iter: [3, 4], value: [0.2, 0.1] });
  t.notOk('time/iter_s' in later, 'nothing new, nothing said');

  writeFileSync(`${log}.tmp`, line(0, 1) + line(1, 3)); // LoggerHook of a resumed run
  renameSync(`${log}.tmp`, log);
  appendFileSync(log, line(2, 4));
  t.strictSame((await reader.scalars())['loss'], { iter: [0, 1, 2], value: [1, 3, 4] });
  writeFileSync(log, line(0, 7)); // shorter, the same file
  t.strictSame((await reader.scalars())['loss'], { iter: [0], value: [7] });
  appendFileSync(log, line(1, 8) + line(1, 9));
  t.strictSame((await reader.scalars())['loss'], { iter: [0, 1], value: [7, 9] }, 'the later one counts');
});

void t.test('a long log is read once; then only its end', async (t) => {
  const path = t.testdir({ 'config.yaml': 'train_cfg: { max_iters: 200000 }' }),
    log = join(path, 'log.jsonl');
  writeFileSync(log, Array.from({ length: 100_000 }, (_, i) => line(i, 1 / (i + 1))).join(''));
  const reader = new RunReader(path);
  t.equal((await reader.scalars())['loss'].value.length, 100_000);
  t.equal((await reader.summary()).iterations, 100_000);
  t.ok(Math.abs(((await reader.summary()).loss ?? 0) - (await reader.scalars(99_999))['loss_smooth'].value[0]) < 1e-9);
  // Bytes that were read before may change unseen: nobody looks at them again.
  const bytes = readFileSync(log);
  bytes.write('{"iter":0,"loss":5', 0);
  writeFileSync(log, bytes, { flag: 'r+' });
  appendFileSync(log, line(100_000, 3));
  const { loss } = await reader.scalars();
  t.strictSame([loss.value[0], loss.value.at(-1)], [1, 3]);
});

void t.test('a view has the config, scores in their order, previews with captions, checkpoints', async (t) => {
  const path = t.testdir({
    'config.yaml': CONFIG,
    'numbers.jsonl': line(0, 1) + line(1, 1) + line(2, 1) + line(3, 1),
    'phases.json': '{"steps":1.5,"open":0.5}',
    'evaluation.json': JSON.stringify({
      settings: {},
      before: [score(0.1)],
      during: [{ iter: 1, key: 'k', scores: [score(0.4)] }],
      after: [score(0.3)],
    }),
    last_checkpoint: 'step3\n',
    best_checkpoint: 'step1\n',
    step1: { 'run.json': '{}', unet: { 'adapter_config.json': '{}' } },
    step3: { 'run.json': '{}', unet: { 'diffusion_pytorch_model.safetensors': '' } },
    'environment.json': JSON.stringify({ command: 'npx diffengine train x', started: 5, end: { at: 9, how: 'done' } }),
    vis: {
      before: { '0.png': PNG, '1.png': PNG },
      step1: { '0.png': PNG, '10.png': PNG, '2.png': PNG, 'captions.json': '{"captions":["one"]}' },
      training: { '0.png': PNG, 'captions.json': '{"captions":["a photo of sks dog"]}' },
      'step1.png': PNG,
    },
  });
  const view = await new RunReader(path, 'a/b').view();
  const { state, iterations, maxIters, started, loss, thumbnail, phases, best, drawing } = view;
  t.strictSame(
    { id: view.id, state, iterations, maxIters, started, loss, thumbnail, phases, best, drawing },
    {
      ...{ id: 'a/b', state: 'done', iterations: 4, maxIters: 4, started: 5, loss: 1, thumbnail: 'vis/step1/0.png' },
      phases: { steps: 1.5, open: 0.5 },
      best: { name: 'CLIP-T', iter: 1, value: 0.4 },
      drawing: {
        ...{ prompt: 'a dog', negativePrompt: '', steps: 7, guidanceScale: 2, guidanceRescale: 0.3, width: 64 },
        ...{ height: undefined, scheduler: undefined },
      },
    },
  );
  t.strictSame(
    view.evaluations.map(({ iter, scores }) => [iter, scores]),
    [-1, 1, 3].map((iter, k) => [
      iter,
      [{ name: 'CLIP-T', better: 'higher', value: [0.1, 0.4, 0.3][k], halfWidth: 0.5 }],
    ]),
  );
  t.strictSame(view.scores[0].value, 0.3);
  t.strictSame(
    view.previews.map(({ iter, pictures }) => [iter, pictures.map(({ src, caption }) => `${src}: ${caption}`)]),
    [
      [-1, ['vis/before/0.png: a dog', 'vis/before/1.png: a cat']],
      [1, ['vis/step1/0.png: one', 'vis/step1/2.png: ', 'vis/step1/10.png: ']],
    ],
  );
  t.strictSame(view.trainingPictures, [
    { src: 'vis/training/0.png', caption: 'a photo of sks dog', width: 5, height: 4 },
  ]);
  t.strictSame(view.checkpoints, [
    { name: 'step1', iter: 1, isLast: false, isBest: true, isAdapter: true },
    { name: 'step3', iter: 3, isLast: true, isBest: false, isAdapter: false },
  ]);
});

void t.test('the state of a run: who holds it, how it ended, what it has to go on from', async (t) => {
  const path = t.testdir({ 'config.yaml': CONFIG, 'numbers.jsonl': line(0, 1) }),
    put = (name: string, text: string): void => writeFileSync(join(path, name), text),
    state = async (): Promise<string> => (await new RunReader(path).summary()).state,
    ended = (end: object): void => put('environment.json', JSON.stringify({ command: 'x', end }));
  t.equal(await state(), 'failed', 'nothing to go on from');
  ended({ how: 'stopped' });
  t.equal(await state(), 'stopped');
  ended({ how: 'done' });
  t.equal(await state(), 'done', 'early stopping');
  ended({ how: 'failed', error: 'disk full' });
  t.equal(await state(), 'failed');
  t.equal((await new RunReader(path).view()).environment?.end?.error, 'disk full');
  mkdirSync(join(path, 'step0'));
  put('last_checkpoint', 'step0\n');
  t.equal(await state(), 'stopped');
  const lock = await acquireLock(join(path, '.lock'));
  t.equal(await state(), 'running');
  await lock.release();
  put('environment.json', 'torn');
  put('numbers.jsonl', line(3, 1));
  t.equal(await state(), 'done', 'of an earlier version: all iterations');
});

void t.test('the logs of all starts are one text, read from any byte', async (t) => {
  const path = t.testdir({ '20260102_000000.log': 'third\ntorn', '20260101_000000.log': 'first\nsecond ä\n', x: 'no' }),
    reader = new RunReader(path);
  t.strictSame(await reader.log(), { text: 'first\nsecond ä\nthird\n', next: 22 });
  t.strictSame(await reader.log(16), { text: 'third\n', next: 22 });
  t.strictSame(await reader.log(-11), { text: 'third\n', next: 22 }, 'from the next whole line on');
  t.strictSame(await reader.log(22), { text: '', next: 22 });
  appendFileSync(join(path, '20260102_000000.log'), ' no more\n');
  t.strictSame(await reader.log(22), { text: 'torn no more\n', next: 35 });
  t.equal((await reader.summary()).started, Date.UTC(2026, 0, 2) / 1000);
});

void t.test('a work dir leads to no file outside of it', async (t) => {
  const path = t.testdir({
    secret: line(0, 1),
    run: { 'config.yaml': CONFIG.replace('numbers.jsonl', '../secret').replace('shown', '..') },
    link: {},
  });
  t.strictSame(await new RunReader(join(path, 'run')).scalars(), {});
  for (const name of ['20260101_000000.log', 'config.yaml']) symlinkSync('../secret', join(path, 'link', name));
  const linked = new RunReader(join(path, 'link'));
  t.equal((await linked.log()).text, '');
  t.equal((await linked.view()).config, '');
});

void t.test('runs are found below a folder, each once; what is in them, hidden or linked is not', async (t) => {
  const files = { 'config.yaml': '', 'log.jsonl': '' },
    run = () => ({ ...files, vis: {}, inner: { ...files } });
  const path = t.testdir({
    b: run(),
    a: { deep: { run: run() } },
    '.hidden': run(),
    node_modules: { run: run() },
    c: { 'config.yaml': '' },
  });
  symlinkSync('b', join(path, 'link'));
  const { runs, folders } = await findRuns(path);
  t.strictSame(
    runs.map(({ id }) => id),
    ['a/deep/run', 'b'],
  );
  t.strictSame(folders.length, 4, 'the folder, a, a/deep, c');
});

void t.test('the command that makes a run again', (t) => {
  const one = { ranks: { size: 1 }, place: 'work_dirs/x' };
  t.equal(
    trainCommand({
      ...one,
      config: 'my dog.ts',
      workDir: 'out',
      backend: 'tfjs',
      options: { 'train_cfg.max_iters': 3, 'a.list': [1, 'b'] },
    }),
    "npx diffengine train 'my dog.ts' --work-dir out --backend tfjs --cfg-options train_cfg.max_iters=3 'a.list=[ 1, b ]'",
  );
  t.equal(trainCommand({ ...one, config: 'tiny', options: ['a=b'] }), 'npx diffengine train tiny --cfg-options a=b');
  t.equal(
    trainCommand({ ...one, config: 'tiny', ranks: { size: 2 }, launcher: 'mpi' }),
    'npx diffengine train tiny --gpus 2 --launcher mpi',
  );
  t.match(
    trainCommand({ ...one, config: {} }),
    /^npx diffengine train work_dirs\/x\/config.yaml --work-dir work_dirs\/x # /,
  );
  t.end();
});
