/** Training without labels: DINO's loss against torch's numbers, its views, a run, and the folder that it writes. */
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { loadComponents } from '../../src/components.js';
import { train } from '../../src/library/train.js';
import { Rng } from '../../src/base/rng.js';
import { openVit } from '../../src/formats/vit-folder.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { bufferState, MODELS, type TrainSample } from '../../src/models/model.js';
import { multiCrop, pieceOf, type MultiCropOptions } from '../../src/models/multi-crop.js';
import type { SelfDistillation } from '../../src/models/self-distillation.js';
import { nextCentre, selfDistillationLoss, teacherTargets } from '../../src/models/self-distillation-loss.js';
import type { ConfigInput } from '../../src/registry/define-config.js';
import { createBuild } from '../../src/registry/container.js';
import { LOGGER } from '../../src/registry/tokens.js';
import { grad } from '../../src/tensor/autodiff.js';
import { floats, float32, type HostTensor } from '../../src/tensor/host.js';
import { constant } from '../../src/tensor/tensor.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { onnxRuntime, valueOf } from '../fixtures/networks/networks.js';
import { trainable } from '../fixtures/models/training.js';

t.setTimeout(120_000);
await loadComponents();
const backend = onnxRuntime(t),
  build = createBuild([[LOGGER, new Lines()]]);
const VIT = { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32, image_size: 16, patch_size: 4 }; // prettier-ignore
const SMALL = {
  vit: VIT,
  head: { hidden: 16, bottleneck: 8, prototypes: 12 },
  crops: { local_number: 2, local_size: 8 },
};
const made = (options: object = {}): SelfDistillation =>
  build(MODELS, { type: 'SelfDistillation', ...SMALL, ...options }) as SelfDistillation;
const rows = (...values: number[][]): HostTensor => float32(values.flat(), [values.length, values[0].length]);
const near = (t: Test, actual: ArrayLike<number>, expected: readonly number[], tolerance: number): void => {
  t.equal(actual.length, expected.length);
  const off = expected.findIndex((v, i) => !(Math.abs(actual[i] - v) <= tolerance));
  t.ok(off === -1, `${off}: ${actual[off]} against ${expected[off]}`);
};

const STUDENT = [
  rows([1, 0, -1], [0.5, 0.2, 0]),
  rows([0, 1, 0], [0.1, 0.9, 0.3]),
  rows([-0.5, 0.5, 1], [1, 1, 0]),
].map(constant);
const TEACHER = [rows([0.9, 0.1, -0.8], [0.4, 0.3, 0.1]), rows([0.2, 0.8, 0.1], [0, 0.7, 0.2])].map(constant);
/** torch 2.13: loss.backward() of the sum over pairs of -softmax((t - c) / 0.04) log_softmax(s / 0.1), through four pairs. */
const GRADIENTS = [
  [1.2499384880065918, -1.2498818635940552, -5.674449130310677e-5, 1.1831234693527222, -1.1827292442321777, -0.00039423746056854725], // prettier-ignore
  [-1.2499432563781738, 1.249886393547058, 5.6744771427474916e-5, -1.1476105451583862, 1.2387566566467285, -0.09114614874124527], // prettier-ignore
  [-1.2500039339065552, -1.2332063913345337, 2.4832100868225098, 0.10194253921508789, 0.00060272216796875, -0.10254520922899246], // prettier-ignore
];
const CENTRE = constant(float32([0.1, 0.2, -0.1], [3]));

void t.test('loss, gradient and centre are those of the algorithm of the paper in torch', async (t) => {
  const targets = TEACHER.map((logits) => teacherTargets(logits, CENTRE, 0.04));
  const loss = selfDistillationLoss(STUDENT, targets, 0.1);
  near(t, await valueOf(loss), [6.636480808258057], 1e-5);
  for (const [i, gradient] of grad(loss, STUDENT).entries()) near(t, await valueOf(gradient), GRADIENTS[i], 1e-5);
  near(t, await valueOf(nextCentre(CENTRE, constant(rows([0.9, 0.1, -0.8], [0.4, 0.3, 0.1], [0.2, 0.8, 0.1], [0, 0.7, 0.2])), 0.9)), [0.1275, 0.2275, -0.1], 1e-6); // prettier-ignore
});

const PLAIN: MultiCropOptions = { global_scale: [1, 1], local_scale: [0.25, 0.25], local_number: 3, local_size: 8, flip: 0, jitter: 0, grayscale: 0, blur: 0 }; // prettier-ignore
/** 16 px, red grows to the right, green downwards, blue is 0. */
const RAMP = float32(
  Float32Array.from({ length: 768 }, (_, i) =>
    i < 256 ? (i % 16) / 7.5 - 1 : i < 512 ? Math.floor((i - 256) / 16) / 7.5 - 1 : -1,
  ),
  [3, 16, 16],
);

void t.test('views are pieces of the picture, as large as asked, mirrored and repainted by chance', (t) => {
  const views = (options: Partial<MultiCropOptions>, row = 0) =>
    multiCrop([RAMP], 16, { ...PLAIN, ...options }, new Rng(3).stream('crops', 0, row));
  const { globals, locals } = views({});
  t.strictSame([globals.length, locals.length, globals[0].length, locals[0].length], [2, 3, 768, 192]);
  t.notSame(locals[0], locals[1], 'at different places');
  t.ok(
    locals.every((v) => v[7] > v[0] && v[64 + 56] > v[64]),
    'red still grows to the right, green downwards',
  );
  t.ok(
    views({ flip: 1 }).locals.every((v) => v[7] < v[0] && v[64 + 56] > v[64]),
    'mirrored: red grows to the left',
  );
  const grey = views({ grayscale: 1 }).globals[0];
  near(t, grey.subarray(0, 256), [...grey.subarray(256, 512)], 1e-6);
  t.ok(
    Math.abs((grey[0] + 1) / 2 - 0) < 0.1 && (grey[255] + 1) / 2 > 0.8,
    'as bright as it was: 0.299 + 0.587 at most',
  );
  t.notSame(views({ jitter: 0.4 }).globals[0], views({}).globals[0]);
  t.strictSame(
    views({ jitter: 0.4, flip: 0.5, blur: 0.5 }),
    views({ jitter: 0.4, flip: 0.5, blur: 0.5 }),
    'repeatable',
  );
  for (let row = 0; row < 200; row++) {
    const [top, left, height, width] = pieceOf(16, 20, [0.1, 0.4], new Rng(1).stream('piece', row));
    const area = (height * width) / 320,
      ratio = width / height;
    t.ok(top >= 0 && left >= 0 && top + height <= 16 && left + width <= 20);
    t.ok(area > 0.07 && area < 0.45 && ratio > 0.6 && ratio < 1.7, `${height}x${width}`);
  }
  const dark = float32(new Float32Array(768).fill(-1), [3, 16, 16]);
  const taken = multiCrop([RAMP, dark], 16, PLAIN, new Rng(3).stream('crops', 0, 0));
  t.strictSame(
    [taken.globals, taken.locals].map((list) => list.map((v) => v.every((x) => x === -1))),
    [
      [false, true],
      [false, true, false],
    ],
    'views of two pictures of one thing, in turn',
  );
  t.strictSame(pieceOf(4, 40, [1, 1], new Rng(1).stream('piece')), [0, 18, 4, 4], 'no piece fits: the middle');
  t.end();
});

/** Discs of four colours, 16 px. */
const SAMPLES = [0, 1, 2, 3].map((k): TrainSample => ({
  text: '',
  img: float32(
    Float32Array.from({ length: 768 }, (_, i) => {
      const [c, y, x] = [Math.floor(i / 256), Math.floor(i / 16) % 16, i % 16];
      return Math.hypot(x - 8, y - 8) < 3 + k ? (((k + 1) >> c) & 1 ? 0.9 : -0.9) : 0.1 * c;
    }),
    [3, 16, 16],
  ),
}));
const context = (iteration: number): { iteration: number; rng: Rng } => ({ iteration, rng: new Rng(3) });

void t.test('steps lower the loss and move the centre towards what the teacher says', async (t) => {
  const { model, step } = await trainable(made(), backend, 3e-3);
  const feeds = await model.feeds(SAMPLES, context(0));
  t.strictSame(
    Object.entries(feeds).map(([name, { shape }]) => [name, ...shape]),
    [
      ['globals', 8, 3, 16, 16],
      ['teacher', 8, 12],
      ['locals', 8, 3, 8, 8],
    ],
  );
  t.ok(step.stateNames.includes(bufferState('center')), 'a checkpoint holds the centre');
  const teacher = floats(feeds['teacher']),
    means = Array.from({ length: 12 }, (_, k) => teacher.filter((_, i) => i % 12 === k).reduce((a, v) => a + v / 8, 0));
  const first = await step.run(feeds, { iteration: 0, lr: 3e-3 });
  near(t, floats(await backend.states.read(bufferState('center'))), means.map((m) => 0.1 * m), 1e-5); // prettier-ignore
  t.ok(first['teacher_entropy'] > 0 && first['teacher_entropy'] < Math.log(12));
  // A teacher that sorts the four pictures apart, both views of each alike: the student learns to do so, too.
  const sorted = float32(Float32Array.from({ length: 8 * 12 }, (_, i) => (i % 12 === Math.floor(i / 12) % 4 ? 1 : 0)), [8, 12]); // prettier-ignore
  const still = await trainable(made({ center_momentum: 1 }), backend, 3e-3);
  const losses = [];
  for (let i = 0; i < 60; i++)
    losses.push((await still.step.run({ ...feeds, teacher: sorted }, { iteration: i, lr: 3e-3 }))['loss']);
  t.ok(losses[59] < 0.5 * losses[0], `${losses[0]} to ${losses[59]}`);
});

void t.test('two pictures in a row are one thing to a model that is told so', async (t) => {
  const { model } = await trainable(made({ crops: { pictures: 2, local_number: 3, local_size: 8 } }), backend, 3e-3);
  const feeds = await model.feeds(SAMPLES, context(0));
  t.strictSame([feeds['globals'].shape[0], feeds['locals'].shape[0]], [4, 6], 'two things of two and three views');
  await t.rejects(model.feeds(SAMPLES.slice(1), context(0)), {
    message:
      'model.crops.pictures: a batch of 3 does not fall into groups of 2 pictures; set train_dataloader.batch_size to a multiple of 2, and num_images, too',
  });
  const [one, other] = SAMPLES;
  await t.rejects(model.feeds([{ ...one, prior: other }, other], context(0)), { message: /class pictures stand between/ }); // prettier-ignore
});

const configOf = (model: object = {}, more: object = {}): ConfigInput => ({
  model: { type: 'SelfDistillation', ...SMALL, ...model },
  train_dataloader: {
    batch_size: 2,
    dataset: { type: 'ToylandDataset', num_images: 8, size: 16, pipeline: [{ type: 'ToTensor' }, { type: 'Normalize', mean: [0.5], std: [0.5] }, { type: 'PackInputs' }] }, // prettier-ignore
  },
  optim_wrapper: { optimizer: { type: 'AdamW', lr: 1e-3 }, accumulative_counts: 2 },
  train_cfg: { max_iters: 4 },
  default_hooks: { checkpoint: { type: 'CheckpointHook', interval: 2 } },
  custom_hooks: { save: { type: 'PeftSaveHook' }, ema: { type: 'EMAHook', momentum: 0.1 } },
  ...more,
});

void t.test('a run saves the teacher as a ViTModel; a resumed one ends in the same bytes', async (t) => {
  const folder = t.testdir(),
    whole = join(folder, 'whole'),
    parts = join(folder, 'parts'),
    state = (path: string): Promise<Buffer> => readFile(join(path, 'step3', 'training_state.safetensors'));
  await train(configOf(), { workDir: whole });
  await train(configOf(), { workDir: parts, options: { 'train_cfg.max_iters': 2 } });
  await train(configOf(), { workDir: parts, resume: true });
  t.ok((await state(whole)).equals(await state(parts)));
  const { entries } = await openSafetensors(join(whole, 'step3', 'training_state.safetensors'));
  t.ok(entries.has(bufferState('center')));
  const { config, preprocess, source } = await openVit(join(whole, 'step3', 'vit'));
  t.match(config, { kind: 'vit', hiddenSize: 16, layers: 1, imageSize: 16, patchSize: 4 });
  t.match(preprocess, { size: 16, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] });
  const name = 'embeddings.position_embeddings',
    saved = floats(await source.weights.readFloat32(name)),
    ema = floats(await (await openSafetensors(join(whole, 'step3', 'training_state.safetensors'))).readFloat32('ema/packed')); // prettier-ignore
  t.ok(holds(ema, saved), 'the moving average is saved, not the student');
  await train(configOf({ model: join(whole, 'step3', 'vit') }), { workDir: join(folder, 'on'), options: { 'train_cfg.max_iters': 1 } }); // prettier-ignore
});

const holds = (all: Float32Array, part: Float32Array): boolean =>
  Array.from({ length: all.length - part.length + 1 }, (_, at) => at).some((at) =>
    part.every((v, i) => all[at + i] === v),
  );

void t.test('what cannot work is told', async (t) => {
  const run = (model: object, more: object = {}) => train(configOf(model, more), { workDir: join(t.testdir(), 'out') });
  await t.rejects(run({}, { custom_hooks: { save: { type: 'PeftSaveHook' } } }), {
    message:
      "custom_hooks: this model learns from the moving average of its weights, and no hook keeps one; add ema: { type: 'EMAHook', momentum: 4e-3 }",
    code: 'CONFIG_INVALID',
  });
  await t.rejects(run({ crops: { local_size: 9 } }), {
    message: 'model.crops.local_size: 9 is no multiple of the patch size 4; set it to 8',
  });
  await t.rejects(run({ crops: { local_size: 8, local_scale: [0.5, 0.2] } }), {
    message: 'model.crops.local_scale: [0.5, 0.2] runs backwards; write [0.2, 0.5]',
  });
  await t.rejects(run({ vit: { ...VIT, num_attention_heads: 3 } }), {
    message: 'model.vit: hidden_size 16 is not a multiple of num_attention_heads 3',
  });
  await t.rejects(async () => {
    for await (const _ of made().sample()) t.fail('a picture');
  }, { message: /draws no pictures; remove the VisualizationHook/ }); // prettier-ignore
});
