/** Distillation: the component's loss against the reference numbers, its runs, and the pipelines they leave. */
import { createHash } from 'node:crypto';
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { OnnxRuntimeBackend } from '../../src/backends/onnxruntime/onnxruntime-backend.js';
import { Executor } from '../../src/backends/executor.js';
import { loadComponents } from '../../src/components.js';
import { buildRun, type RunConfig } from '../../src/engine/build-run.js';
import { Parameters } from '../../src/engine/parameters.js';
import { Renderer } from '../../src/sampling/renderer.js';
import type { RunState } from '../../src/engine/run-state.js';
import { Runner, type Resume } from '../../src/engine/runner.js';
import { WorkDir } from '../../src/engine/work-dir.js';
import { Hook } from '../../src/engine/hook.js';
import { studentKey } from '../../src/models/block-removal.js';
import { presetTaps } from '../../src/models/distill-presets.js';
import type { DistillSD } from '../../src/models/distill-sd.js';
import { exportPipeline } from '../../src/models/export-pipeline.js';
import { openPipeline } from '../../src/formats/pipeline/pipeline-folder.js';
import { readJson } from '../../src/formats/read-json.js';
import { LAYOUTS, writeRandomModel } from '../../src/models/random-model.js';
import { NoiseSchedule } from '../../src/sampling/schedulers/noise-schedule.js';
import { parseUNetConfig } from '../../src/networks/unet-config.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { Rng } from '../../src/base/rng.js';
import { createBuild } from '../../src/registry/container.js';
import { MODELS } from '../../src/models/model.js';
import { LOGGER } from '../../src/registry/tokens.js';
import { grad } from '../../src/tensor/autodiff.js';
import { float32, floats, type HostTensor } from '../../src/tensor/host.js';
import { substitute } from '../../src/tensor/passes/rewrite.js';
import { leafName, topo, weight, type Tensor } from '../../src/tensor/tensor.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { evaluate, onnxRuntime, TINY, wave } from '../fixtures/networks/networks.js';
import { Project } from '../fixtures/tools/cli.js';
import { golden, relativeError, skipGolden } from '../golden.js';

t.setTimeout(300_000);
await loadComponents();

const backend = onnxRuntime(t);
const root = t.testdir(),
  teacher = join(root, 'teacher'),
  pictures = join(root, 'pictures');
await writeRandomModel(teacher, LAYOUTS['tiny-random-teacher'], { dtype: 'float32', seed: 1 });
const used = ['01-meadow.png', '02-beach.png', '03-snow.png'];
for (const name of used) await cp(join('assets/dog-drawings', name), join(pictures, name));
await writeFile(
  join(pictures, 'metadata.csv'),
  'file_name,text\n01-meadow.png,a dog in a meadow\n02-beach.png,a dog on the beach\n03-snow.png,a dog in the snow\n',
);

const build = createBuild([[LOGGER, new Lines()]]);
const create = (options: object): DistillSD =>
  build(MODELS, { type: 'DistillSD', model: teacher, ...options }) as DistillSD;
async function loaded(options: object): Promise<DistillSD> {
  const model = create(options);
  await model.load();
  return model;
}
/** With its start values in the backend, so that it can draw and be fed. */
async function ready(options: object): Promise<DistillSD> {
  const model = await loaded(options),
    parameters = new Parameters(model.parameters());
  model.executor = new Executor(backend, (outputs) => parameters.bind(outputs, 'params'));
  await parameters.write(backend.states, 'params', await model.initialValues(new Rng(0)));
  return model;
}
/** tap's own comparison takes minutes for this many numbers. */
const same = (a: HostTensor, b: HostTensor): boolean =>
  a.dtype === b.dtype &&
  String(a.shape) === String(b.shape) &&
  Buffer.from(a.data.buffer, a.data.byteOffset, a.data.byteLength).equals(
    Buffer.from(b.data.buffer, b.data.byteOffset, b.data.byteLength),
  );
const valuesOf = (results: Record<string, HostTensor>, name: string): Float32Array => floats(results[name]);

/** Parameters of the model as literals. */
function bound(outputs: readonly Tensor[], values: Readonly<Record<string, HostTensor>>): Tensor[] {
  return substitute(outputs, (leaf) => {
    if (leaf.node.op !== 'parameter') return undefined;
    const value = values[leafName(leaf)];
    return weight({ key: leafName(leaf), value }, { dtype: 'float32', shape: value.shape });
  });
}

const STEP = {
  noisy_latents: wave([2, 4, 8, 8]),
  target: wave([2, 4, 8, 8], 7),
  timesteps: float32([10, 700], [2]),
  weights: float32([1, 1], [2]),
  encoder_hidden_states: wave([2, 77, 32], 3),
};
/** Loss and logs on one fixed batch. */
async function lossOf(options: object): Promise<Record<string, number>> {
  const model = await loaded(options),
    { loss, logs } = model.loss(STEP);
  const names = ['loss', ...Object.keys(logs)],
    outputs = bound([loss, ...Object.values(logs)], await model.initialValues(new Rng(0)));
  const results = await evaluate(backend, Object.fromEntries(names.map((n, i) => [n, outputs[i]])), STEP);
  return Object.fromEntries(names.map((n) => [n, valuesOf(results, n)[0]]));
}

interface Meta {
  readonly grad_norm_order: Record<string, string[]>;
  readonly runs: Record<
    string,
    {
      student: string;
      loss: number;
      loss_task: number;
      loss_output_kd: number;
      loss_features_sum: number;
      total_grad_norm: number;
    }
  >;
}
for (const [run, preset] of [
  ['bk.small', 'bk_sdm'],
  ['bk.bk_small', 'bk_sdm'],
  ['bk.tiny', 'bk_sdm'],
  ['segmind.small', 'segmind'],
  ['segmind.tiny', 'segmind'],
] as const) {
  void t.test(
    `${run}: losses, gradient norms and gradients are those of the published code`,
    { skip: skipGolden },
    async (t) => {
      const { meta } = (
        (await readJson(golden('reference/index.json'), 'it describes the numbers')) as Record<string, { meta: Meta }>
      )['distill.safetensors'];
      const expected = meta.runs[run],
        reference = await openSafetensors(golden('reference/distill.safetensors'));
      const data = async (name: string): Promise<HostTensor> => reference.read(`data/${name}`);
      const timesteps = Float32Array.from((await data('timesteps')).data as BigInt64Array, Number),
        rows = timesteps.length;
      const feeds = {
        noisy_latents: await data('noisy_latents'),
        target: await data('noise'),
        encoder_hidden_states: await data('encoder_hidden_states'),
        timesteps: float32(timesteps, [rows]),
        weights: float32(new Float32Array(rows).fill(1), [rows]),
      };
      const model = await loaded({ model: golden('tiny-sd-random'), block_removal: expected.student, preset }),
        { loss, logs } = model.loss(feeds);
      const leaves = topo([loss])
          .filter((n) => n.op === 'parameter')
          .map((n) => n.outs[0]),
        names = leaves.map(leafName);
      t.strictSame(new Set(names), new Set(model.parameters().keys()), 'every parameter of the student is trained');
      const outputs = bound(
        [loss, logs['loss_task'], logs['loss_output'], logs['loss_feature'], ...grad(loss, leaves)],
        await model.initialValues(new Rng(0)),
      );
      const results = await evaluate(
        backend,
        Object.fromEntries(['loss', 'task', 'output', 'feature', ...names].map((n, i) => [n, outputs[i]])),
        feeds,
      );
      const near = (actual: ArrayLike<number>, wanted: ArrayLike<number>, limit: number, what: string): void => {
        const error = relativeError(actual, wanted);
        t.ok(error < limit, `${what}: ${error}`);
      };
      near(valuesOf(results, 'loss'), [expected.loss], 1e-5, 'loss');
      near(valuesOf(results, 'task'), [expected.loss_task], 1e-5, 'task');
      near(valuesOf(results, 'output'), [expected.loss_output_kd], 1e-5, 'output');
      near(valuesOf(results, 'feature'), [expected.loss_features_sum], 1e-5, 'feature');
      const norms = meta.grad_norm_order[expected.student].map((key) =>
        Math.hypot(...valuesOf(results, `unet.${key}`)),
      );
      near(norms, floats(await reference.read(`${run}/grad_norms`)), 1e-3, 'gradient norms');
      near([Math.hypot(...norms)], [expected.total_grad_norm], 1e-4, 'total gradient norm');
      const stored = [...reference.entries.keys()].filter((n) => n.startsWith(`${run}/grad.`));
      t.ok(stored.length >= 8);
      for (const name of stored)
        near(
          valuesOf(results, `unet.${name.slice(`${run}/grad.`.length)}`),
          floats(await reference.read(name)),
          1e-3,
          name,
        );
    },
  );
}

void t.test('presets: which hidden states are compared depends on the layouts of both networks', async (t) => {
  const unet = (stages: number, layers: number, mid: boolean) =>
    parseUNetConfig(
      {
        block_out_channels: [8, 16, 16, 16].slice(0, stages),
        layers_per_block: layers,
        norm_num_groups: 8,
        attention_head_dim: 2,
        mid_block_type: mid ? 'UNetMidBlock2DCrossAttn' : null,
        down_block_types: Array<string>(stages).fill('CrossAttnDownBlock2D'),
        up_block_types: Array<string>(stages).fill('CrossAttnUpBlock2D'),
      },
      'unet',
    );
  const sd = unet(4, 2, true);
  const equal = (...names: string[]): string[][] => names.map((n) => [n, n]);
  const down = equal('down_blocks.0', 'down_blocks.1', 'down_blocks.2', 'down_blocks.3'),
    up = equal('up_blocks.0', 'up_blocks.1', 'up_blocks.2', 'up_blocks.3');
  t.strictSame(presetTaps('bk_sdm', sd, unet(4, 1, true)), [...up, ...down]);
  t.strictSame(presetTaps('segmind', sd, unet(4, 1, true)), [...down, ...equal('mid_block'), ...up]);
  t.strictSame(presetTaps('segmind', sd, unet(4, 1, false)), [...down, ...up]);
  const shifted = [
    ['up_blocks.1', 'up_blocks.0'],
    ['up_blocks.2', 'up_blocks.1'],
    ['up_blocks.3', 'up_blocks.2'],
  ];
  t.strictSame(presetTaps('bk_sdm', sd, unet(3, 1, false)), [
    ...down.slice(0, 2),
    ['down_blocks.2.attentions.1.proj_out', 'down_blocks.2.attentions.0.proj_out'],
    ...shifted,
  ]);
  t.strictSame(presetTaps('segmind', sd, unet(3, 1, false)), [
    ...down.slice(0, 2),
    ['up_blocks.0', 'down_blocks.2'],
    ...shifted,
  ]);
  t.throws(() => presetTaps('bk_sdm', sd, unet(2, 1, false)), {
    name: 'UserError',
    message:
      'model.preset: "bk_sdm" pairs networks of equally many stages or one less, the teacher has 4 and the student 2; give model.taps',
  });
});

void t.test(
  'the loss is the weighted sum of its terms; a weight of 0 leaves its term out, and the teacher with the last of its terms',
  async (t) => {
    const near = (actual: number, expected: number): void =>
      void t.ok(Math.abs(actual - expected) < 1e-5 * expected, `${actual} is ${expected}`);
    const bk = await lossOf({ block_removal: 'tiny' }),
      { loss_task: task, loss_output: output, loss_feature: feature } = bk;
    near(bk['loss'], task + output + feature);
    near(
      (await lossOf({ block_removal: 'tiny', task_weight: 0.25, output_weight: 2, feature_weight: 3 }))['loss'],
      0.25 * task + 2 * output + 3 * feature,
    );
    const segmind = await lossOf({ block_removal: 'tiny', preset: 'segmind' });
    near(segmind['loss'], segmind['loss_task'] + 0.5 * segmind['loss_output'] + 0.5 * segmind['loss_feature']);
    const noFeatures = await lossOf({ block_removal: 'tiny', feature_weight: 0 });
    t.strictSame(Object.keys(noFeatures), ['loss', 'loss_task', 'loss_output']);
    near(noFeatures['loss'], task + output);
    const alone = await loaded({ block_removal: 'tiny', feature_weight: 0, output_weight: 0 }),
      { loss, logs } = alone.loss(STEP);
    t.strictSame(Object.keys(logs), ['loss_task']);
    t.notOk(
      topo([loss]).some((n) => n.op === 'weight'),
      'no weight of the teacher is read',
    );
  },
);

void t.test('taps may be chosen: blocks, convolutions and linear layers, by the names of their modules', async (t) => {
  const one = async (...taps: [string, string][]): Promise<number> =>
    (await lossOf({ block_removal: 'small', taps, task_weight: 0, output_weight: 0 }))['loss'];
  const [mid, key] = [
    await one(['mid_block', 'mid_block']),
    await one([
      'up_blocks.2.attentions.2.transformer_blocks.0.attn2.to_k',
      'up_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k',
    ]),
  ];
  t.ok(mid > 0);
  t.equal(key, 0, 'the same weights on the same text');
  t.equal(await one(['conv_in', 'conv_in']), 0, 'the same weights on the same latents');
  t.equal(await one(['mid_block', 'mid_block'], ['conv_in', 'conv_in']), mid);
});

void t.test('a student by block removal starts with the weights of its teacher', async (t) => {
  const model = await loaded({ block_removal: 'tiny' }),
    values = await model.initialValues(new Rng(0));
  const weights = await openSafetensors(join(teacher, 'unet/diffusion_pytorch_model.safetensors'));
  let copied = 0;
  for (const name of weights.entries.keys()) {
    const key = studentKey(name, 'tiny');
    if (key === undefined) continue;
    t.ok(same(values[`unet.${key}`], await weights.readFloat32(name)), key);
    copied++;
  }
  t.equal(copied, model.parameters().size);
});

void t.test("init random: the same layout, torch's default bounds, the same numbers from the same seed", async (t) => {
  const model = await loaded({ block_removal: 'bk_small', init: 'random' });
  const values = await model.initialValues(new Rng(5));
  t.strictSame([...Object.keys(values)], [...model.parameters().keys()]);
  const again = await model.initialValues(new Rng(5));
  t.strictSame(
    Object.keys(values).filter((name) => !same(values[name], again[name])),
    [],
  );
  t.notOk(same(values['unet.conv_in.weight'], (await model.initialValues(new Rng(6)))['unet.conv_in.weight']));
  t.ok(floats(values['unet.conv_norm_out.weight']).every((v) => v === 1));
  t.ok(floats(values['unet.conv_norm_out.bias']).every((v) => v === 0));
  for (const name of ['unet.conv_in.weight', 'unet.conv_in.bias']) {
    const largest = Math.max(...floats(values[name]).map(Math.abs)); // fan in 4 * 3 * 3
    t.ok(largest <= 1 / 6 && largest > 0.9 / 6, `${name}: ${largest}`);
  }
  t.ok(
    (await lossOf({ block_removal: 'bk_small', init: 'random' }))['loss'] >
      (await lossOf({ block_removal: 'bk_small' }))['loss'],
  );
});

const first = async (pictures: AsyncGenerator<HostTensor>): Promise<HostTensor> =>
  (await pictures.next()).value as HostTensor;
const SAMPLES = [0, 1].map((i) => ({ img: wave([3, 64, 64], i), text: `a dog ${i}` }));

void t.test('epsilon and v prediction: the same noisy latents, targets that belong together', async (t) => {
  const step = { iteration: 3, rng: new Rng(1) };
  const epsilon = await (await ready({ block_removal: 'small' })).feeds(SAMPLES, step);
  const velocity = await (
    await ready({ block_removal: 'small', prediction_type: 'v_prediction' })
  ).feeds(SAMPLES, step);
  t.ok(same(velocity['noisy_latents'], epsilon['noisy_latents']));
  const schedule = new NoiseSchedule({ beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 });
  const size = floats(epsilon['target']).length / 2;
  for (const row of [0, 1]) {
    const cut = (t: HostTensor): Float32Array => floats(t).slice(row * size, (row + 1) * size),
      timestep = floats(epsilon['timesteps'])[row];
    // noise = alpha v + sigma x_t, whose factors add_noise shows
    const one = new Float32Array(1).fill(1),
      none = new Float32Array(1),
      [alpha] = schedule.addNoise(one, none, timestep),
      [sigma] = schedule.addNoise(none, one, timestep);
    const noisy = cut(velocity['noisy_latents']);
    t.ok(
      relativeError(
        cut(velocity['target']).map((v, i) => alpha * v + sigma * noisy[i]),
        cut(epsilon['target']),
      ) < 1e-5,
    );
  }
});

void t.test('a loss by noise level weighs the rows of the task, not what is learnt from the teacher', async (t) => {
  const model = await ready({ block_removal: 'small', loss: { type: 'SNRL2Loss' } });
  const { weights, timesteps } = await model.feeds(SAMPLES, { iteration: 0, rng: new Rng(1) });
  const snr = new NoiseSchedule({ beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 }).snr();
  t.same(
    Array.from(floats(weights)),
    Array.from(floats(timesteps), (at) => Math.fround(Math.min(snr[at], 5) / snr[at])),
  );
  const plain = await lossOf({ block_removal: 'small' }),
    { loss, logs } = model.loss(STEP);
  const outputs = bound(
    [loss, logs['loss_task'], logs['loss_output'], logs['loss_feature']],
    await model.initialValues(new Rng(0)),
  );
  const results = await evaluate(
    backend,
    { loss: outputs[0], task: outputs[1], output: outputs[2], feature: outputs[3] },
    { ...STEP, weights: float32([0, 0], [2]) },
  );
  t.strictSame(
    ['task', 'output', 'feature'].map((n) => valuesOf(results, n)[0]),
    [0, plain['loss_output'], plain['loss_feature']],
  );
});

void t.test('the student draws; the base is the teacher', async (t) => {
  const model = await ready({ block_removal: 'small' });
  const request = { prompts: ['a dog'], seeds: [3], steps: 2, guidance_scale: 3, height: 64, width: 64 };
  const whole = await Renderer.open(teacher, [], backend, new Lines());
  const drawn = await first(whole.render(request));
  t.ok(same(await first(model.sample({ ...request, weights: 'base' })), drawn));
  t.notOk(same(await first(model.sample(request)), drawn));
  await whole.dispose();
  await model.executor.dispose();
});

const CONFIG = {
  model: { type: 'DistillSD', model: teacher, block_removal: 'tiny' },
  train_dataloader: {
    batch_size: 2,
    dataset: {
      type: 'ImageFolderDataset',
      dataset: pictures,
      pipeline: [
        { type: 'Resize', size: 64 },
        { type: 'CenterCrop', size: 64 },
        { type: 'ToTensor' },
        { type: 'Normalize', mean: [0.5], std: [0.5] },
        { type: 'PackInputs' },
      ],
    },
  },
  optim_wrapper: { optimizer: { type: 'AdamW', lr: 1e-4 }, accumulative_counts: 2, clip_grad: { max_norm: 1 } },
  train_cfg: { max_iters: 5 },
  default_hooks: { checkpoint: { type: 'CheckpointHook', interval: -1 }, logger: { type: 'LoggerHook', interval: 1 } },
  custom_hooks: { ema: { type: 'EMAHook', momentum: 0.1 }, save: { type: 'PeftSaveHook' } },
} satisfies RunConfig;

class StopAfter extends Hook {
  constructor(private readonly iteration: number) {
    super();
  }
  override async afterTrainIter(run: RunState): Promise<void> {
    if (run.iter === this.iteration) run.stop('test');
  }
}

async function train(
  path: string,
  options: { resume?: Resume; stopAfter?: number; config?: RunConfig } = {},
): Promise<void> {
  const workDir = await WorkDir.open(path),
    log = new Lines(),
    config = options.config ?? CONFIG;
  const own = new OnnxRuntimeBackend({
    device: 'cpu',
    intra_op_num_threads: 1,
    graph_optimization_level: 'extended',
    scratch_dir: null,
  });
  const datasetServices = { cacheDir: join(path, 'cache'), resolveDataset: async (id: string) => id };
  const parts = buildRun(config, {
    build: createBuild([[LOGGER, log]]),
    backend: own,
    workDir,
    rng: new Rng(2),
    log,
    signal: new AbortController().signal,
    datasetServices,
  });
  try {
    await new Runner({ ...parts, hooks: [...parts.hooks, new StopAfter(options.stopAfter ?? -1)] }).train(
      options.resume,
    );
  } finally {
    await own.dispose();
    await workDir.close();
  }
}

interface LogLine {
  readonly loss: number;
  readonly loss_task: number;
  readonly loss_output: number;
  readonly loss_feature: number;
  readonly grad_norm?: number;
}
const logOf = async (path: string): Promise<LogLine[]> =>
  (await readFile(join(path, 'log.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LogLine);

void t.test(
  'a run with accumulation and EMA: every term is logged, resumed within a group it equals the uninterrupted one, the student is a pipeline',
  async (t) => {
    const straight = join(root, 'straight'),
      resumed = join(root, 'resumed');
    await train(straight);
    const log = await logOf(straight);
    t.strictSame(
      log.map((l) => l.grad_norm !== undefined),
      [false, true, false, true, true],
    );
    for (const l of log)
      t.ok(Math.abs(l.loss - l.loss_task - l.loss_output - l.loss_feature) < 1e-5 * l.loss, JSON.stringify(l));

    await train(resumed, { stopAfter: 2 });
    t.strictSame(
      (await readdir(resumed)).filter((n) => n.startsWith('step')),
      ['step2'],
    );
    await train(resumed, { resume: true });
    const hash = async (path: string): Promise<string> =>
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
    for (const file of [
      'step4/training_state.safetensors',
      'step4/unet/diffusion_pytorch_model.safetensors',
      'log.jsonl',
    ])
      t.equal(await hash(join(resumed, file)), await hash(join(straight, file)), file);

    const checkpoint = join(straight, 'step4');
    t.strictSame((await readdir(checkpoint)).sort(), ['README.md', 'run.json', 'training_state.safetensors', 'unet']);
    const file = await openSafetensors(join(checkpoint, 'unet/diffusion_pytorch_model.safetensors')),
      state = await openSafetensors(join(checkpoint, 'training_state.safetensors'));
    const student = await ready({ student: checkpoint }),
      again = await student.initialValues(new Rng(0));
    const average = await state.read('ema/packed'),
      flat = float32(new Float32Array(average.data.length), average.shape);
    floats(flat).set([...student.parameters().keys()].flatMap((name) => Array.from(floats(again[name])))); // zeros follow
    t.ok(same(flat, average), 'the checkpoint holds the average of the weights');
    t.notOk(same(flat, await state.read('params/packed')));
    t.equal(file.entries.size, student.parameters().size);

    const whole = join(root, 'exported'),
      half = join(root, 'exported-half');
    t.strictSame(await exportPipeline(checkpoint, teacher, whole), ['unet']);
    t.equal((await openPipeline(whole)).unetConfig.hasMidBlock, false);
    await exportPipeline(checkpoint, teacher, half, { dtype: 'float16' });
    t.strictSame(
      [...new Set([...(await openPipeline(half)).unet.weights.entries.values()].map((e) => e.dtype))],
      ['float16'],
    );
    const request = { prompts: ['a dog'], seeds: [3], steps: 2, guidance_scale: 3, height: 64, width: 64 };
    const drawn = await first(student.sample(request));
    for (const [model, trained] of [
      [whole, []],
      [teacher, [{ path: checkpoint, scale: 1 }]],
    ] as const) {
      const renderer = await Renderer.open(model, trained, backend, new Lines());
      t.ok(
        same(await first(renderer.render(request)), drawn),
        `${trained.length > 0 ? 'the checkpoint' : 'the exported pipeline'} draws what the student draws`,
      );
      await renderer.dispose();
    }
    await student.executor.dispose();
  },
);

void t.test(
  'a student that predicts otherwise than its teacher: its checkpoint and its pipeline draw so, too',
  async (t) => {
    const prediction_type = 'v_prediction',
      path = join(root, 'predicts-v'),
      checkpoint = join(path, 'step0'),
      whole = join(root, 'exported-v');
    await train(path, { stopAfter: 0, config: { ...CONFIG, model: { ...CONFIG.model, prediction_type } } });
    await exportPipeline(checkpoint, teacher, whole);
    t.equal((await openPipeline(whole)).schedulerConfig['prediction_type'], prediction_type);
    t.not((await openPipeline(teacher)).schedulerConfig['prediction_type'], prediction_type);
    const student = await ready({ student: checkpoint, prediction_type });
    const request = { prompts: ['a dog'], seeds: [3], steps: 2, guidance_scale: 3, height: 64, width: 64 },
      drawn = await first(student.sample(request));
    const cases = [
      ['the exported pipeline', whole, []],
      ['the checkpoint on its teacher', teacher, [{ path: checkpoint, scale: 1 }]],
    ] as const;
    for (const [what, model, trained] of cases) {
      const renderer = await Renderer.open(model, trained, backend, new Lines());
      t.ok(same(await first(renderer.render(request)), drawn), what);
      await renderer.dispose();
    }
    await student.executor.dispose();
  },
);

void t.test('resume: another student is another base', async (t) => {
  const path = join(root, 'other');
  await train(path, { stopAfter: 0 });
  await t.rejects(
    train(path, { resume: true, config: { ...CONFIG, model: { ...CONFIG.model, block_removal: 'small' } } }),
    { name: 'UserError', message: /step0: trained on another base model/ },
  );
});

for (const [title, options, message] of [
  [
    'no student',
    {},
    'model: neither block_removal nor student is set; give block_removal to make the student of the teacher, or the pipeline of a student',
  ],
  [
    'two students',
    { block_removal: 'tiny', student: 'x' },
    'model: both block_removal and student are set; give block_removal to make the student of the teacher, or the pipeline of a student',
  ],
  [
    'nothing to learn from',
    { block_removal: 'tiny', task_weight: 0, output_weight: 0, feature_weight: 0 },
    'model: task_weight, output_weight and feature_weight are all 0; there is nothing to learn from',
  ],
  ['a pair of three', { block_removal: 'tiny', taps: [['a', 'b', 'c']] }, /^model\.taps\.0: /],
  [
    'a misspelt module',
    {
      block_removal: 'small',
      taps: [
        ['mid_block', 'mid_block'],
        ['up_blocks.1', 'up_blok.1'],
      ],
    },
    'model.taps.1.1: the student has no module "up_blok.1"; did you mean "up_blocks.1"?',
  ],
  [
    'modules of different shapes',
    { block_removal: 'small', taps: [['down_blocks.0', 'down_blocks.1']] },
    'model.taps.0: "down_blocks.0" of the teacher gives [1,16,4,4], "down_blocks.1" of the student [1,32,2,2]; pair modules of equal shape',
  ],
  [
    'a teacher without blocks to spare',
    { model: TINY, block_removal: 'small' },
    /tiny-random-sd\/unet\/config\.json: layers_per_block is 1; blocks are removed from U-Nets of SD 1\.x and 2\.x only/,
  ],
] as const) {
  void t.test(`refused before training: ${title}`, async (t) => {
    await t.rejects(async () => loaded(options), { name: 'UserError', message });
  });
}

void t.test(
  'a student for other texts is refused, and a checkpoint without a whole network is not exported',
  async (t) => {
    const other = join(root, 'other-texts'),
      { unet, vae, text } = LAYOUTS['tiny-random'];
    await writeRandomModel(
      other,
      { unet: { ...unet, cross_attention_dim: 16 }, vae, text: { ...text, hidden_size: 16 } },
      { dtype: 'float16', seed: 0 },
    );
    await t.rejects(loaded({ student: other }), {
      name: 'UserError',
      message: /other-texts\/unet\/config\.json: cross_attention_dim is 16, the teacher's is 32/,
    });
    await t.rejects(exportPipeline(pictures, teacher, join(root, 'nothing')), {
      name: 'UserError',
      message:
        /pictures: no unet\/diffusion_pytorch_model\.safetensors in it; adapters are added to their base with "diffengine merge-lora"/,
    });
  },
);

void t.test('the built-in toy config: make-model, train, export-pipeline and demo as a user runs them', async (t) => {
  const project = Project.create(t, {});
  await cp(pictures, project.file('pictures'), { recursive: true });
  const run = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await project.run(args);
    t.strictSame([code, err], [0, ''], args[0]);
    return out;
  };
  await run('make-model', 'tiny-random-teacher', '--out', 'tiny-random-teacher');
  t.match(
    await run('train', 'tiny_random_sd_distill', '--cfg-options', 'train_cfg.max_iters=2', 'custom_hooks.preview=null'),
    /model +DistillSD: .* frozen and 549,060 trainable parameters/,
  );
  t.match(
    await run('export-pipeline', 'work_dirs/tiny_random_sd_distill', '--out', 'student', '--dtype', 'float16'),
    /student: unet of .*step1, the rest of .*tiny-random-teacher/,
  );
  await run('demo', 'a dog', 'student', '--height', '64', '--width', '64', '--steps', '2', '--out', 'dog.png');
  t.ok(project.files().includes('dog.png'));
});
