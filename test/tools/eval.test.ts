/** diffengine eval, end to end with the smallest model and an untrained CLIP. */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { parse } from 'yaml';
import { loadComponents } from '../../src/components.js';
import { VOCABULARY } from '../../src/datasets/toyland/world.js';
import { evaluationOf } from '../../src/evaluation/settings.js';
import { runEvaluation, type Evaluation } from '../../src/evaluation/evaluation-run.js';
import { ConsoleLogger } from '../../src/loggers/console-logger.js';
import { writeRandomClip } from '../../src/models/random-clip.js';
import type { Tree } from '../../src/registry/merge.js';
import { validateEvaluation } from '../../src/registry/validate.js';
import { Project, refuses, SMALL_CONFIG } from '../fixtures/tools/cli.js';

t.setTimeout(600_000);

const SMALL = {
  text: {
    hidden_size: 16,
    intermediate_size: 32,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    max_position_embeddings: 16,
  },
  vision: {
    image_size: 16,
    patch_size: 8,
    hidden_size: 16,
    intermediate_size: 32,
    num_hidden_layers: 1,
    num_attention_heads: 2,
  },
  projection_dim: 8,
};
const MODEL = 'package:assets/tiny-random-sd',
  DOGS = resolve('assets/dog-drawings');
const DRAW = [
  '--clip',
  'clip',
  '--prompts',
  'prompts.txt',
  '--steps',
  '1',
  '--seeds',
  '2',
  '--num-images',
  '3',
  '--guidance',
  '1',
  '--no-latency',
];
const TOYLAND = `
val_dataloader: { dataset: { type: ToylandDataset, num_images: 4, split: held_out, captions: full, size: 32, pipeline: [{ type: ToTensor }, { type: Normalize, mean: [0.5], std: [0.5] }, { type: PackInputs }] } }
val_evaluator: [{ type: ClipMMD, sigma: 5 }]
val_cfg: { clip: clip, num_images: 2, num_inference_steps: 1, guidance_scale: 1, seeds: [4, 7] }
`;
const project = Project.create(t, {
  'my.yaml': SMALL_CONFIG + TOYLAND,
  'toyland.yaml': TOYLAND,
  'prompts.txt': 'a photo of sks dog\n\na red car\n',
  'prompts.csv': 'id,text\n1,"a dog, at night"\n',
  'odd.csv': 'a,b\n1,2\n',
  'blank.txt': '\n \n',
  'empty/readme.md': '',
});
await writeRandomClip(project.file('clip'), SMALL, VOCABULARY, 0);
type Settings = Parameters<typeof runEvaluation>[0]['config'];
const silent = { write: () => true },
  REST = {
    target: { model: MODEL },
    out: project.file('work'),
    latency: false,
    savePictures: false,
    log: new ConsoleLogger({ out: silent, err: silent }),
    signal: new AbortController().signal,
  };
const evaluate = (config: Tree): Promise<Evaluation> =>
  runEvaluation({ config: validateEvaluation(config) as unknown as Settings, ...REST });
await loadComponents();
const result = (folder: string): Evaluation =>
  JSON.parse(readFileSync(project.file(`${folder}/eval.json`), 'utf8')) as Evaluation;

void t.test('eval of a pipeline: a table, eval.json with every number, a sheet per seed', async (t) => {
  const { code, out, err } = await project.run([
    'eval',
    MODEL,
    ...DRAW,
    '--drop-tokens',
    'sks',
    '--reference',
    DOGS,
    '--instances',
    DOGS,
    '--out',
    'first',
    '--save-pictures',
  ]);
  t.equal(code, 0, err);
  t.match(out, /^model {7}package:assets\/tiny-random-sd\n/m);
  t.match(
    out,
    'pictures    3 of 64x64 per seed (0, 1), 1 steps, guidance 1; against 5 reference pictures and 5 of the subject',
  );
  t.match(out, 'parameters  U-Net 549,060, text encoder 52,384, VAE 81,215');
  t.match(out, /^arithmetic {2}0\.008686 GMACs per U-Net evaluation$/m);
  t.match(out, /^ +value {2}95 % over seeds\nCLIP-T ↑ +-?\d.* ± \d.*\nFD ↓ .*\nCMMD ↓ .*\nCLIP-I ↑ .* to /m);
  t.notMatch(out, 'latency');
  const { scores, seeds, prompts, pictures, latency, config } = result('first');
  t.strictSame(
    { seeds, prompts, pictures, latency },
    {
      seeds: [0, 1],
      prompts: ['a photo of sks dog', 'a red car', 'a photo of sks dog'],
      pictures: { generated_per_seed: 3, reference: 5, instances: 5 },
      latency: null,
    },
  );
  t.strictSame(config.val_cfg.drop_tokens, ['sks']);
  for (const { name, value, per_seed } of scores)
    t.ok(Math.abs(value - (per_seed[0] + per_seed[1]) / 2) < 1e-12 && per_seed[0] !== per_seed[1], name);
  t.strictSame(readdirSync(project.file('first')).sort(), ['eval.json', 'seed0', 'seed0.png', 'seed1', 'seed1.png']);
  t.strictSame(readdirSync(project.file('first/seed1')).sort(), ['0.png', '1.png', '2.png']);
  const { width, height } = await sharp(project.file('first/seed0.png')).metadata();
  t.strictSame([width, height], [2 * 64 + 4, 2 * 64 + 4]);
});

void t.test(
  'the same settings give the same numbers in another process; intervals over pictures are others',
  async (t) => {
    const settings = {
      clip: project.file('clip'),
      prompts: project.file('prompts.txt'),
      drop_tokens: ['sks'],
      num_images: 3,
      seeds: 2,
      num_inference_steps: 1,
      guidance_scale: 1,
    };
    const again = await evaluate({ val_cfg: { ...settings, instances: DOGS }, val_dataloader: { dataset: DOGS } });
    t.strictSame(again.scores, result('first').scores);
    const [over] = (
        await evaluate({ val_cfg: { ...settings, interval: 'bootstrap' }, val_evaluator: [{ type: 'ClipScore' }] })
      ).scores,
      [first] = again.scores;
    t.equal(over.value.toFixed(12), first.value.toFixed(12), 'a mean over pictures is the mean over seeds');
    t.not(over.half_width_95, first.half_width_95);
  },
);

void t.test('a picture is that of demo with its seed, whatever else is drawn', async (t) => {
  const demo = await project.run([
    'demo',
    'a red car',
    MODEL,
    '--steps',
    '1',
    '--guidance',
    '1',
    '--seed',
    '1000001',
    '--out',
    'car.png',
  ]);
  t.equal(demo.code, 0, demo.err);
  t.ok(readFileSync(project.file('car.png')).equals(readFileSync(project.file('first/seed1/1.png'))));
});

void t.test('eval of a config: its settings and its last checkpoint; --base is the model before', async (t) => {
  refuses(
    t,
    project,
    await project.run(['eval', 'my.yaml', '--no-latency']),
    "my.yaml: nothing is trained in work_dirs/my yet; train it, give a checkpoint's folder, or add --base for the model that it starts from",
  );
  const trained = await project.run(['train', 'my.yaml', '--cfg-options', 'optim_wrapper.optimizer.lr=0.1']);
  t.equal(trained.code, 0, trained.err);
  for (const [args, folder] of [
    [['my.yaml'], 'my-step1'],
    [['my.yaml', '--base'], 'my-base'],
    [['work_dirs/my', '--cfg-options', 'val_cfg.seeds=[4]'], 'my-step1'],
  ] as const) {
    const { code, out, err } = await project.run(['eval', ...args, '--no-latency']);
    t.equal(code, 0, err);
    t.match(out, `wrote work_dirs/eval/${folder}/eval.json`);
    if (args.length === 1)
      t.match(result(`work_dirs/eval/${folder}`), {
        seeds: [4, 7],
        pictures: { generated_per_seed: 2, reference: 4 },
        config: { val_evaluator: [{ type: 'ClipMMD', sigma: 5 }] },
      });
  }
  const { scores: tuned, model, prompts } = result('work_dirs/eval/my-step1');
  t.match(model?.checkpoint, /work_dirs\/my\/step1$/);
  t.equal(prompts.length, 2);
  t.match(prompts[0], /^a photo of an? /, 'the texts of the reference');
  t.equal(tuned[0].half_width_95, null, 'one seed has no interval');
  t.not(tuned[0].per_seed[0], result('work_dirs/eval/my-base').scores[0].per_seed[0], 'the adapter is in the pictures');
});

void t.test(
  'eval of a DreamBooth run needs a CLIP and nothing else: prompts of its preview, pictures of its subject',
  async (t) => {
    const tree = {
      ...(parse(SMALL_CONFIG) as Tree),
      custom_hooks: { gone: null, preview: { type: 'VisualizationHook', prompt: 'a photo of sks dog' } },
      backend: { type: 'ReferenceBackend' },
    };
    const dogs = 'package:assets/dog-drawings';
    t.strictSame(evaluationOf(tree, { val_cfg: { clip: 'clip' } }), {
      backend: { type: 'ReferenceBackend' },
      val_cfg: { clip: 'clip', prompts: ['a photo of sks dog'], instances: dogs },
    });
    t.strictSame(
      evaluationOf(tree, { val_dataloader: { dataset: { type: 'ToylandDataset' } } })['val_cfg'],
      { instances: dogs },
      'a reference with texts comes first',
    );
    t.strictSame(evaluationOf(tree, { val_dataloader: { dataset: 'folder' }, backend: { type: 'X' } }), {
      backend: { type: 'X' },
      val_dataloader: { dataset: 'folder' },
      val_cfg: { prompts: ['a photo of sks dog'], instances: dogs },
    });
    t.strictSame(
      evaluationOf({ val_cfg: { clip: 'a', seeds: 2, prompts: ['b'] } }, { val_cfg: { clip: 'c', instances: 'd' } }),
      { val_cfg: { clip: 'c', seeds: 2, prompts: ['b'], instances: 'd' } },
    );
    const { code, out, err } = await project.run([
      'eval',
      'work_dirs/my',
      '--clip',
      'clip',
      '--no-latency',
      '--num-images',
      '1',
      '--seeds',
      '1',
      '--out',
      'dog',
      '--reference',
      DOGS,
      '--prompts',
      'prompts.txt',
    ]);
    t.equal(code, 0, err);
    t.match(out, /CMMD[^]*against 5 reference pictures|against 5 reference pictures[^]*CMMD/);
  },
);

void t.test('eval with a metric of your own, which looks at the pictures themselves', async (t) => {
  project.installPackage();
  writeFileSync(
    project.file('brightness.ts'),
    `
import { Metric, METRICS, type Evidence, type HostTensor, type Need, type OptionsSchema, type Rows } from 'diffengine';
@METRICS.register()
export class Brightness extends Metric {
  static readonly options = { description: 'Mean of all pixels.', type: 'object', additionalProperties: false, properties: {} } as const satisfies OptionsSchema;
  override readonly needs: readonly Need[] = [];
  override readonly better = 'higher';
  override async judge(pictures: readonly HostTensor[], prompts: readonly string[]): Promise<Rows> {
    return pictures.map(({ data }, i) => Float32Array.of(data.reduce((a, b) => a + Number(b), 0) / data.length, prompts[i].length));
  }
  override scores({ judged }: Evidence): Record<string, number> {
    return { brightness: judged.reduce((sum, [mean]) => sum + mean, 0) / judged.length, letters: judged[0][1] };
  }
}`,
  );
  writeFileSync(
    project.file('own.yaml'),
    `custom_imports: [brightness.ts]\nval_evaluator: [{ type: Brightness }]\nval_cfg: { prompts: [a red car], num_images: 33, seeds: 1, num_inference_steps: 1, guidance_scale: 1 }\n`,
  );
  const { code, out, err } = await project.run(['eval', MODEL, '--config', 'own.yaml', '--no-latency', '--out', 'own']);
  t.equal(code, 0, err);
  t.match(out, /^brightness ↑ +\d\S* {2}one seed\nletters ↑ +9\.000 {2}one seed$/m);
  t.match(result('own'), { clip: null, pictures: { generated_per_seed: 33 } });
  const mean = (await sharp(readFileSync(project.file('own/seed0.png'))).stats()).channels.reduce(
    (sum, channel) => sum + channel.mean / 3,
    0,
  );
  t.ok(result('own').scores[0].value > 0 && result('own').scores[0].value < mean, 'the sheet has white gaps');
});

void t.test('eval takes the settings of another config for a pipeline, and times steps', async (t) => {
  const { code, out, err } = await project.run([
    'eval',
    MODEL,
    '--config',
    'toyland.yaml',
    '--out',
    'timed',
    '--seeds',
    '3,5',
    '--prompts',
    'prompts.csv',
  ]);
  t.equal(code, 0, err);
  t.match(out, /^latency {5}\d\S* ms per step, median of \d+ \(.* cores, onnxruntime/m);
  t.match(result('timed'), {
    seeds: [3, 5],
    prompts: ['a dog, at night', 'a dog, at night'],
    latency: { guided: false },
  });
});

void t.test('eval of pictures that are there: split over the seeds, with their own texts', async (t) => {
  const toyland =
    '{ type: ToylandDataset, num_images: 6, size: 32, captions: full, pipeline: [{ type: ToTensor }, { type: Normalize, mean: [0.5], std: [0.5] }, { type: PackInputs }] }';
  const { code, out, err } = await project.run([
    'eval',
    '--pictures',
    toyland,
    '--clip',
    'clip',
    '--seeds',
    '2',
    '--reference',
    toyland,
    '--out',
    'real',
  ]);
  t.equal(code, 0, err);
  t.match(
    out,
    /^pictures {4}3 of 32x32 per seed \(0, 1\); against 6 reference pictures\n\n +value/m,
    'no model, no cost',
  );
  const { model, cost, scores, prompts } = result('real');
  t.strictSame(
    { model, cost, names: scores.map(({ name }) => name) },
    { model: null, cost: null, names: ['CLIP-T', 'FD', 'CMMD'] },
  );
  t.strictSame(prompts.length, 3);
  t.not(scores[0].per_seed[0], scores[0].per_seed[1]);
  const folder = { pictures: DOGS, target: undefined },
    cfg = { clip: project.file('clip'), seeds: 1 };
  const same = await runEvaluation({
    ...REST,
    ...folder,
    config: validateEvaluation({ val_cfg: cfg, val_dataloader: { dataset: DOGS } }) as unknown as Settings,
  });
  t.strictSame(
    same.scores.map(({ name, value }) => [name, Math.abs(value) < 1e-9]),
    [
      ['FD', true],
      ['CMMD', true],
    ],
    'nothing between a set and itself; a folder has no texts',
  );
  const refused = (more: object, message: string): Promise<unknown> =>
    t.rejects(
      runEvaluation({
        ...REST,
        ...folder,
        config: validateEvaluation({
          val_cfg: { ...cfg, ...more },
          val_evaluator: [{ type: 'ClipMMD' }],
          val_dataloader: { dataset: DOGS },
        }) as unknown as Settings,
      }),
      { message },
    );
  await refused(
    { seeds: 2, num_images: 3 },
    '--pictures: 5 pictures for 2 seeds of 3; give more pictures, or lower --seeds or --num-images',
  );
  await t.rejects(
    runEvaluation({
      ...REST,
      ...folder,
      config: validateEvaluation({ val_cfg: cfg, val_evaluator: [{ type: 'ClipScore' }] }) as unknown as Settings,
    }),
    {
      message:
        'ClipScore: compares with the texts of pictures, and a folder has none; give a dataset that has texts, or leave this metric out',
    },
  );
  t.match(await project.run(['eval', '--clip', 'clip']), {
    code: 1,
    err: 'diffengine: eval: nothing to measure; give one of them: a model, or --pictures (see --help)\n',
  });
});

void t.test('mistakes are told in words, before anything is drawn', async (t) => {
  const clip = project.file('clip'),
    prompts = project.file('prompts.txt'),
    cfg = { clip, prompts };
  const refused = (config: Tree, message: string | RegExp): Promise<unknown> =>
    t.rejects(evaluate(config), { name: 'UserError', message });
  await refused(
    { val_cfg: { clip } },
    'prompts: none are given, and there is no reference dataset with texts; set val_cfg.prompts, or give --prompts, a .txt with one per line or a .csv',
  );
  await refused(
    { val_cfg: { clip, prompts: 'none.txt' } },
    'prompts: none.txt: cannot be read (ENOENT); is the path right?',
  );
  await refused(
    { val_cfg: { clip, prompts: project.file('blank.txt') } },
    `prompts: ${project.file('blank.txt')}: no prompts in it; write one per line`,
  );
  await refused(
    { val_cfg: { clip, prompts: project.file('odd.csv') } },
    `prompts: ${project.file('odd.csv')}: no column prompt, text, caption; it has a, b`,
  );
  await refused(
    { val_cfg: { clip, prompts: 'my.yaml' } },
    'prompts: my.yaml: neither .txt nor .csv nor .jsonl; give a file with a prompt per line, or a table with a column "prompt"',
  );
  await refused(
    { val_cfg: { prompts } },
    "ClipScore: looks through a CLIP, and none is given; set val_cfg.clip, or give --clip, a folder in transformers' format",
  );
  await refused(
    { val_cfg: { prompts, clip: project.file('empty') } },
    /empty\/config\.json: missing; a CLIP checkpoint has one$/,
  );
  await refused(
    { val_cfg: cfg, val_dataloader: { dataset: project.file('empty') } },
    /^val_dataloader\.dataset: .*empty: no pictures in it \(1 other files\)/,
  );
  await refused({ val_cfg: { ...cfg, instances: 'nowhere' } }, /^val_cfg\.instances: nowhere: no such folder/);
  await refused(
    { val_cfg: cfg, val_evaluator: [{ type: 'FrechetDistance' }] },
    'FrechetDistance: compares with reference pictures, and none are given; set val_dataloader.dataset, or give --reference',
  );
  await refused(
    { val_cfg: cfg, val_evaluator: [{ type: 'ClipImageScore' }] },
    'ClipImageScore: compares with pictures of the subject, and none are given; set val_cfg.instances, or give --instances',
  );
  await refused(
    { val_cfg: { ...cfg, num_images: 1_000_001 } },
    'val_cfg.num_images: 1000001 pictures per seed; at most 1000000',
  );
  t.throws(() => validateEvaluation({ val_evaluator: [{ type: 'ClipScor' }] }), {
    message: 'val_evaluator.0.type: unknown metric "ClipScor"; did you mean "ClipScore"?',
  });
  t.throws(() => validateEvaluation({ val_cfg: { num_image: 3, height: 60 } }), {
    message:
      /^val_cfg\.num_image: unknown option; did you mean "num_images"\?\nval_cfg\.height: 60 must be multiple of 8$/,
  });
  await t.rejects(
    runEvaluation({ config: validateEvaluation({ val_cfg: cfg }) as unknown as Settings, ...REST, out: prompts }),
    {
      name: 'UserError',
      message: `${prompts}/eval.json: cannot be written (ENOTDIR); choose another name for the output`,
    },
  );
  const seeds = await project.run(['eval', MODEL, ...DRAW, '--seeds', '1,1']);
  t.match(seeds, { code: 1, err: /a seed is there twice/ });
});

void t.test('a signal stops between steps, without results', async (t) => {
  const controller = new AbortController();
  const out = project.file('stopped'),
    config = {
      val_cfg: {
        clip: project.file('clip'),
        prompts: project.file('prompts.txt'),
        num_images: 50,
        num_inference_steps: 20,
      },
    };
  const running = runEvaluation({
    config: validateEvaluation(config) as unknown as Settings,
    ...REST,
    out,
    savePictures: true,
    signal: controller.signal,
  });
  const stop = setInterval(() => {
    if (!existsSync(join(out, 'seed0/0.png'))) return;
    clearInterval(stop);
    controller.abort();
  }, 20);
  await t.rejects(running, {
    name: 'Interrupted',
    code: 'INTERRUPTED',
    message: `stopped; no results in ${out}. The same command starts again`,
  });
  t.equal(process.exitCode, undefined, 'the exit code is not ours to set');
  t.strictSame(readdirSync(out), ['seed0']);
});
