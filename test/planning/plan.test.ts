import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { loadComponents } from '../../src/components.js';
import { machineMemory, plan, type Plan } from '../../src/planning/plan.js';
import { fitting } from '../../src/planning/fit.js';
import { standIn } from '../../src/planning/stand-in.js';
import { planText } from '../../src/planning/plan-text.js';
import { LAYOUTS } from '../../src/models/random-model.js';
import { applyCfgOptions } from '../../src/registry/cfg-options.js';
import { loadConfig } from '../../src/registry/load-config.js';
import type { Tree } from '../../src/registry/merge.js';
import { validateConfig } from '../../src/registry/validate.js';
import type { DType } from '../../src/tensor/host.js';
import '../fixtures/engine/linear.js';

const GIB = 2 ** 30,
  TINY = 'assets/tiny-random-sd';
const log = { info: () => {}, warn: () => {}, debug: () => {} };
const DREAMBOOTH = 'tiny_random_sd_dreambooth_lora_dog';

t.setTimeout(280_000);
t.before(loadComponents);
const scratch = await mkdtemp(join(tmpdir(), 'plan-test-'));
t.teardown(() => rm(scratch, { recursive: true, force: true }));

async function config(name: string, options: readonly string[]): Promise<Tree> {
  return validateConfig((await loadConfig(name, [`cache_dir=${join(scratch, 'cache')}`, ...options])).config);
}
const planned = async (name: string, options: readonly string[] = [], calibrationSeconds = 0): Promise<Plan> =>
  plan({ config: await config(name, options), log, calibrationSeconds });

/** Runs by phase and program. */
const runs = ({ phases }: Plan): Record<string, Record<string, number>> =>
  Object.fromEntries(
    phases.map(({ phase, programs }) => [phase, Object.fromEntries(programs.map((p) => [p.name, p.runs]))]),
  );

void t.test('the whole job of the smallest DreamBooth config, by phase', async (t) => {
  const made = await planned(DREAMBOOTH);
  t.strictSame(made.model, { type: 'StableDiffusion', trained: 35_584, frozen: 601_444 });
  t.strictSame(made.batch, { rows: 4, height: 64, width: 64, accumulated: 1, iterations: 40 });
  t.strictSame(runs(made), {
    // PNDM makes one step more than asked; two rows, 4 pictures of 5 steps
    'class pictures': { encode_text: 2, sample_step: 24, decode_image: 4 },
    // 5 drawings and 4 class pictures, each as it is and mirrored; the class prompt is known already
    encoding: { encode_text: 1, encode_image: 18 },
    training: { train_step: 40 },
    // before, after 20 and after 40 iterations, 4 prompts of 10 steps
    'validation pictures': { decode_image: 12, encode_text: 1, sample_step: 132 },
  });
  const flops = made.phases.reduce((n, p) => n + p.flops, 0);
  t.equal(made.total.flops, flops);
  t.equal(made.phases.find(({ phase }) => phase === 'training')?.flops, 40 * made.step.flops);
  t.equal(made.step.seconds, undefined, 'nothing was measured');
});

void t.test('nothing is left behind: no work dir, no class pictures, no scratch files', async (t) => {
  const before = (await readdir(tmpdir())).filter((name) => name.startsWith('diffengine-plan-'));
  await planned(DREAMBOOTH);
  t.strictSame(
    (await readdir(tmpdir())).filter((name) => name.startsWith('diffengine-plan-')),
    before,
  );
  await t.rejects(readdir(join(scratch, 'cache')), { code: 'ENOENT' });
  await t.rejects(readdir(join('work_dirs', DREAMBOOTH, 'step0')), { code: 'ENOENT' });
});

void t.test('gradient accumulation and an average are planned as they run', async (t) => {
  const made = await planned(DREAMBOOTH, [
    'optim_wrapper.accumulative_counts=3',
    'custom_hooks.ema={type: EMAHook}',
    'custom_hooks.preview=null',
    'train_cfg.max_iters=10',
  ]);
  const { training, hooks } = runs(made),
    plain = await planned(DREAMBOOTH, ['custom_hooks.preview=null', 'train_cfg.max_iters=10']);
  t.strictSame(training, { grad_step: 10, apply_step: 4 });
  t.strictSame(hooks, { ema: 4 });
  // values, two moments; then also gradients and the average, 4 bytes each
  t.equal(Math.round(plain.memory.states), Math.round(1.07 * 3 * 4 * 35_584));
  t.equal(Math.round(made.memory.states), Math.round(1.07 * 5 * 4 * 35_584));
});

void t.test('class pictures that are in the cache need not be made', async (t) => {
  const cache = join(scratch, 'filled'),
    options = [`cache_dir=${cache}`, 'custom_hooks.preview=null'];
  t.equal(runs(await planned(DREAMBOOTH, options))['class pictures']['sample_step'], 24);
  // The name of the folder is a hash that only the dataset knows: one is made by a plan of a run whose pictures are there.
  const seen: string[] = [];
  const { DreamBoothDataset } = await import('../../src/datasets/dreambooth-dataset.js');
  const prepare = DreamBoothDataset.prototype.prepare;
  DreamBoothDataset.prototype.prepare = async function (services) {
    await prepare.call(this, services);
    seen.push(...(await readdir(join(services.cacheDir, 'class-images'))));
  };
  t.teardown(() => {
    DreamBoothDataset.prototype.prepare = prepare;
  });
  await planned(DREAMBOOTH, options);
  await mkdir(join(cache, 'class-images', seen[0]), { recursive: true });
  for (const name of ['0000.png', '0001.png', '0002.png'])
    await writeFile(join(cache, 'class-images', seen[0], name), '');
  t.equal(runs(await planned(DREAMBOOTH, options))['class pictures']['sample_step'], 6);
});

void t.test('pictures that come out new each time are encoded each time', async (t) => {
  const pipeline =
    '[{type: Resize, size: 80}, {type: RandomCrop, size: 64}, {type: ToTensor}, {type: Normalize, mean: [0.5], std: [0.5]}, {type: PackInputs}]';
  const options = [
    'train_dataloader.dataset.class_prompt=null',
    'custom_hooks.preview=null',
    `train_dataloader.dataset.pipeline=${pipeline}`,
  ];
  t.equal(runs(await planned(DREAMBOOTH, options))['encoding']['encode_image'], 80, '40 batches of 2');
  t.equal(runs(await planned(DREAMBOOTH, [...options, 'model.cache_latents=false']))['encoding']['encode_image'], 80);
});

void t.test('a model of the user is planned without a method of its own', async (t) => {
  const made = await plan({
    config: validateConfig({
      model: { type: 'LinearModel' },
      train_dataloader: { batch_size: 3, dataset: { type: 'NoisePictures' } },
      optim_wrapper: { optimizer: { type: 'AdamW', lr: 0.05 } },
      train_cfg: { max_iters: 6 },
    }),
    log,
    calibrationSeconds: 0,
  });
  t.strictSame(made.model, { type: 'LinearModel', trained: 13, frozen: 0 });
  t.strictSame(runs(made), { training: { train_step: 6 } });
  t.equal(made.sampling, undefined);
});

void t.test('a distillation counts teacher and student', async (t) => {
  const pictures = join(scratch, 'pictures');
  await cp('assets/dog-drawings', pictures, { recursive: true });
  await writeFile(
    join(pictures, 'metadata.csv'),
    'file_name,text\n01-meadow.png,a dog\n02-beach.png,a dog at the sea\n',
  );
  const teacher = await hollow('tiny-random-teacher', 'float32'),
    options = [`model.model=${teacher}`, `train_dataloader.dataset.dataset=${pictures}`, 'custom_hooks.preview=null'];
  const made = await planned('tiny_random_sd_distill', options),
    alone = await planned('tiny_random_sd_distill', [...options, 'model.output_weight=0', 'model.feature_weight=0']);
  t.equal(made.model.type, 'DistillSD');
  t.strictSame(runs(made)['training'], { grad_step: 40, apply_step: 20 });
  t.ok(made.step.flops > 1.3 * alone.step.flops, 'without the help of the teacher its forward pass is saved');
});

void t.test('times come from measuring', async (t) => {
  const made = await planned(DREAMBOOTH, ['custom_hooks.preview=null'], 0.05);
  t.ok((made.step.seconds ?? 0) > 0 && (made.speed?.gflopsPerSecond ?? 0) > 0);
  t.ok(Math.abs((made.total.seconds ?? 0) - made.phases.reduce((n, p) => n + (p.seconds ?? 0), 0)) < 1e-9);
  t.match(planText(made, 8 * GIB), /^measured +\d+ GFLOP\/s/m);
  t.match(planText(made, 8 * GIB, 2 * GIB), /^memory +\d+ MiB at most, of 8\.00 GiB \(2\.00 GiB free now\)$/m);
  t.match(planText({ ...made, backend: 'TfjsBackend cpu' }, 8 * GIB), /of 8\.00 GiB, were it OnnxRuntimeBackend cpu$/m);
});

/** A layout without values, dressed with the tokenizer of the smallest model. */
async function hollow(layout: string, dtype: DType): Promise<string> {
  const configs = join(scratch, `${layout}-configs`),
    folder = join(scratch, `${layout}-${dtype}`),
    { unet, vae, text } = LAYOUTS[layout];
  await cp(TINY, configs, { recursive: true });
  const stages = (vae['block_out_channels'] as number[]).length;
  const blocks = {
    down_block_types: Array(stages).fill('DownEncoderBlock2D'),
    up_block_types: Array(stages).fill('UpDecoderBlock2D'),
  };
  for (const [name, own] of [
    ['unet', unet],
    ['vae', { ...blocks, ...vae }],
    ['text_encoder', text],
  ] as const) {
    const file = join(configs, name, 'config.json');
    await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), ...own }));
  }
  await standIn(configs, folder, () => dtype);
  return folder;
}

/** small-sd's layout, LoRA r = 8, batch 1; `size` pixels. */
const smallSd = (folder: string, size: number): string[] => [
  `model.model=${folder}`,
  'train_dataloader.batch_size=1',
  'train_dataloader.dataset.class_prompt=null',
  'train_dataloader.dataset.class_image=null',
  'train_dataloader.dataset.dataset=package:assets/dog-drawings',
  'custom_hooks.preview=null',
  `train_dataloader.dataset.pipeline=[{type: Resize, size: ${size}}, {type: CenterCrop, size: ${size}}, {type: ToTensor}, {type: Normalize, mean: [0.5], std: [0.5]}, {type: PackInputs}]`,
];

/** What these runs took, docs/planning.md, in MiB; the prediction is to be within 5 %. */
for (const [dtype, size, measured] of [['float16', 512, 4458]] as const) {
  void t.test(`small-sd, LoRA at ${size} px, ${dtype}: the peak is predicted within 5 %`, async (t) => {
    const made = await planned('small_sd_dreambooth_lora_dog', smallSd(await hollow('small', dtype), size)),
      predicted = made.memory.peak / 2 ** 20;
    t.strictSame(made.model, { type: 'StableDiffusion', trained: 1_018_880, frozen: 702_445_444 });
    t.ok(
      made.step.macs > 2 * 261_496_995_840 && made.step.macs < 2.5 * 261_496_995_840,
      'the forward pass, and the gradients of results but not of frozen weights',
    );
    t.ok(Math.abs(predicted / measured - 1) < 0.05, `${predicted.toFixed(0)} MiB, measured ${measured}`);
  });
}

void t.test('what does not fit is refused with what would', async (t) => {
  const options = [...smallSd(await hollow('small', 'float16'), 256), 'train_dataloader.batch_size=4'],
    tree = await config('small_sd_dreambooth_lora_dog', options);
  const made = await planned('small_sd_dreambooth_lora_dog', options);
  t.equal(await fitting(made, tree, 64 * GIB, log), undefined);
  const misfit = await fitting(made, tree, 3 * GIB, log);
  t.match(
    misfit?.message,
    /^memory: this run needs about 3\.\d+ GiB, there are 3\.00 GiB; it would be killed or never end\. What helps:\n {2}- /,
  );
  t.match(
    misfit?.advice.join('\n'),
    /train_dataloader\.batch_size=1 optim_wrapper\.accumulative_counts=4 train_cfg\.max_iters=4000 \(the same updates\) takes 3\.\d+ GiB/,
  );
  const one = applyCfgOptions(tree, ['train_dataloader.batch_size=1'], new Map());
  t.notMatch(
    (await fitting(await plan({ config: one, log, calibrationSeconds: 0 }), one, GIB, log))?.message,
    /batch_size=1/,
  );
});

void t.test('the memory of the machine or of its container', async (t) => {
  const { limit, available } = machineMemory();
  t.ok(limit > GIB / 4 && limit < 2 ** 50 && available > 0);
});
