/** Contrastive training of a CLIP: its loss by hand, its gradient, a run, and what it writes. */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { Feeds } from '../../src/backends/backend.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { loadComponents } from '../../src/components.js';
import { Parameters } from '../../src/engine/parameters.js';
import { AdamW } from '../../src/engine/optimizers/adamw.js';
import { TrainStep } from '../../src/engine/train-step.js';
import { ClipFeatures } from '../../src/sampling/clip-features.js';
import { contrastiveLoss, logSoftmax, retrievalAccuracy, similarities } from '../../src/models/clip-loss.js';
import type { ContrastiveCLIP } from '../../src/models/contrastive-clip.js';
import { readJson } from '../../src/formats/read-json.js';
import { writeRandomClip } from '../../src/models/random-clip.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { Rng } from '../../src/base/rng.js';
import { createBuild } from '../../src/registry/container.js';
import { MODELS } from '../../src/models/model.js';
import { LOGGER } from '../../src/registry/tokens.js';
import { grad } from '../../src/tensor/autodiff.js';
import { floats, float32, scalar, type HostTensor } from '../../src/tensor/host.js';
import { constant, fill, input } from '../../src/tensor/tensor.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { evaluate, onnxRuntime, valueOf, wave } from '../fixtures/networks/networks.js';
import { trainable, type Ready } from '../fixtures/models/training.js';

t.setTimeout(120_000);
await loadComponents();
const backend = onnxRuntime(t),
  folder = join(t.testdir(), 'start'),
  WORDS = ['a', 'red', 'blue', 'green', 'dog', 'cup'];
await writeRandomClip(
  folder,
  {
    text: {
      hidden_size: 16,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      intermediate_size: 32,
      max_position_embeddings: 8,
    },
    vision: {
      image_size: 16,
      patch_size: 8,
      hidden_size: 16,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      intermediate_size: 32,
    },
    projection_dim: 12,
  },
  WORDS,
  5,
);
const log = new Lines(),
  build = createBuild([[LOGGER, log]]);
const matrix = (rows: readonly (readonly number[])[]): HostTensor =>
  float32(rows.flat(), [rows.length, rows[0].length]);

const ready = (options: object = {}, lr = 1e-3): Promise<Ready<ContrastiveCLIP>> =>
  trainable(build(MODELS, { type: 'ContrastiveCLIP', model: folder, ...options }) as ContrastiveCLIP, backend, lr);

/** Plain pictures of 16 px in four colours, and what they show. */
const pairs = (
  [
    [1, -1, -1, 'a red dog'],
    [-1, 1, -1, 'a green dog'],
    [-1, -1, 1, 'a blue cup'],
    [1, 1, -1, 'a cup'],
  ] as const
).map(([r, g, b, text]) => ({
  text,
  img: float32(
    Float32Array.from({ length: 768 }, (_, i) => [r, g, b][Math.floor(i / 256)] * 0.8),
    [3, 16, 16],
  ),
}));
const context = (iteration = 0): { iteration: number; rng: Rng } => ({ iteration, rng: new Rng(3) });

void t.test('the loss of the identity matrix is log(e + B - 1) - 1, and equal captions share the target', async (t) => {
  const loss = async (logits: HostTensor, same: HostTensor): Promise<number> =>
    (await valueOf(contrastiveLoss(constant(logits), constant(same))))[0];
  const eye = matrix([
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ]);
  t.ok(Math.abs((await loss(eye, eye)) - 0.5514447139320511) < 1e-6, 'log(e + 2) - 1');
  // Pictures 0 and 1 have one caption: rows 0 and 1 ask for half of both.
  const twins = matrix([
    [1, 1, 0],
    [1, 1, 0],
    [0, 0, 1],
  ]);
  const expected = (2 * (Math.log(2 * Math.E + 1) - 1) + (Math.log(Math.E + 2) - 1)) / 3;
  t.ok(Math.abs((await loss(twins, twins)) - expected) < 1e-6);
  const swapped = matrix([
    [0, 4],
    [4, 0],
  ]);
  t.ok(
    Math.abs(
      (await loss(
        swapped,
        matrix([
          [1, 1],
          [1, 1],
        ]),
      )) - 2.0181499,
    ) < 1e-6,
    'log(1 + e^4) - 2: as good as the other way round',
  );
  t.ok(
    Math.abs(
      (await loss(
        swapped,
        matrix([
          [1, 0],
          [0, 1],
        ]),
      )) - 4.0181499,
    ) < 1e-6,
    'log(1 + e^4): found wrong',
  );
  // Not symmetric: pictures choose among captions, captions among pictures.
  const skew = matrix([
      [2, 1],
      [0, 3],
    ]),
    two = matrix([
      [1, 0],
      [0, 1],
    ]);
  const rows = (Math.log1p(Math.exp(-1)) + Math.log1p(Math.exp(-3))) / 2,
    columns = Math.log1p(Math.exp(-2));
  t.ok(Math.abs((await loss(skew, two)) - (rows + columns) / 2) < 1e-6);
});

void t.test('log softmax is finite where exponentials are not, on both engines', async (t) => {
  const x = matrix([
      [100, -100, 0],
      [-1000, -1000, -1001],
      [1e4, 0, 1e4],
    ]),
    expected = [0, -200, -100, -0.8619948, -0.8619948, -1.8619948, -0.6931472, -10000.693, -0.6931472];
  for (const engine of [backend, new ReferenceBackend({})]) {
    const { out } = await evaluate(engine, { out: logSoftmax(input('x', [3, 3])) }, { x });
    floats(out).forEach((v, i) => t.ok(Math.abs(v - expected[i]) < 1e-3, `${v} against ${expected[i]}`));
  }
});

void t.test('a picture is found when its caption, or an equal one, is the most similar', async (t) => {
  const accuracy = async (logits: HostTensor, same: HostTensor): Promise<number> =>
    (await valueOf(retrievalAccuracy(constant(logits), constant(same))))[0];
  const eye = matrix([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]),
    wrong = matrix([
      [1, 2, 0],
      [0, 1, 0],
      [5, 0, 1],
    ]);
  t.equal(await accuracy(eye, eye), 1);
  t.ok(Math.abs((await accuracy(wrong, eye)) - 1 / 3) < 1e-6);
  t.ok(
    Math.abs(
      (await accuracy(
        wrong,
        matrix([
          [1, 1, 0],
          [1, 1, 0],
          [0, 0, 1],
        ]),
      )) -
        2 / 3,
    ) < 1e-6,
  );
});

void t.test('the gradient of the loss is that of finite differences', async (t) => {
  const images = input('images', [3, 4]),
    texts = constant(wave([3, 4], 7)),
    same = constant(
      matrix([
        [1, 1, 0],
        [1, 1, 0],
        [0, 0, 1],
      ]),
    );
  const loss = contrastiveLoss(similarities(images, texts, fill(5)), same);
  const program = await new ReferenceBackend({}).compile({
    name: 'loss',
    outputs: { loss, slope: grad(loss, [images])[0] },
  });
  const at = wave([3, 4]),
    slope = floats((await program.run({ images: at }))['slope']),
    step = 1e-2;
  for (let i = 0; i < 12; i++) {
    const moved = async (by: number): Promise<number> =>
      floats(
        (
          await program.run({
            images: float32(
              floats(at).map((v, k) => (k === i ? v + by : v)),
              [3, 4],
            ),
          })
        )['loss'],
      )[0];
    const expected = ((await moved(step)) - (await moved(-step))) / (2 * step);
    t.ok(Math.abs(slope[i] - expected) < 1e-3 * (1 + Math.abs(expected)), `${i}: ${slope[i]} against ${expected}`);
  }
  await program.dispose();
});

void t.test('thirty steps teach four pictures and captions, and the saved folder remembers', async (t) => {
  const { model, step, parameters } = await ready({ init: 'random' }, 3e-3);
  const logs: Record<string, number>[] = [];
  for (let i = 0; i < 30; i++)
    logs.push(await step.run(await model.feeds(pairs, context(i)), { iteration: i, lr: 3e-3 }));
  t.ok(Math.abs(logs[0]['logit_scale'] - 14.2849) < 1e-3, 'e^2.6592');
  t.ok(
    logs[0]['loss'] > 1 && logs[29]['loss'] < 0.5 * logs[0]['loss'],
    `loss from ${logs[0]['loss']} to ${logs[29]['loss']}`,
  );
  t.equal(logs[29]['accuracy'], 1);

  const out = t.testdir(),
    clip = join(out, 'clip');
  await model.save(out, await parameters.read(backend.states, 'params'));
  t.strictSame((await readdir(clip)).sort(), [
    'config.json',
    'merges.txt',
    'model.safetensors',
    'preprocessor_config.json',
    'special_tokens_map.json',
    'tokenizer_config.json',
    'vocab.json',
  ]);
  const features = await ClipFeatures.open(clip, backend, log);
  const pictures = pairs.map(
    ({ img }) =>
      ({
        dtype: 'uint8',
        shape: [16, 16, 3],
        data: Uint8Array.from({ length: 768 }, (_, i) =>
          Math.round((floats(img)[(i % 3) * 256 + Math.floor(i / 3)] + 1) * 127.5),
        ),
      }) as const,
  );
  const images = await features.images(pictures),
    texts = await features.texts(pairs.map(({ text }) => text));
  const cosine = (a: Float32Array, b: Float32Array): number =>
    a.reduce((n, v, i) => n + v * b[i], 0) / Math.hypot(...a) / Math.hypot(...b);
  images.forEach((picture, i) => {
    const scores = texts.map((text) => cosine(picture, text));
    t.equal(scores.indexOf(Math.max(...scores)), i, scores.map((s) => s.toFixed(2)).join(' '));
  });
  await features.dispose();
});

void t.test('start values are those of the folder, and saving them gives it back', async (t) => {
  const { model, parameters } = await ready();
  const out = t.testdir();
  await model.save(out, await parameters.read(backend.states, 'params'));
  const [before, after] = [
    await openSafetensors(join(folder, 'model.safetensors')),
    await openSafetensors(join(out, 'clip', 'model.safetensors')),
  ];
  t.strictSame([...after.entries.keys()].sort(), [...before.entries.keys()].sort());
  for (const name of before.entries.keys()) t.strictSame(await after.read(name), await before.read(name), name);
  for (const name of ['config.json', 'preprocessor_config.json'])
    t.strictSame(await readJson(join(out, 'clip', name), ''), await readJson(join(folder, name), ''), name);
  for (const name of ['vocab.json', 'merges.txt', 'tokenizer_config.json'])
    t.equal(await readFile(join(out, 'clip', name), 'utf8'), await readFile(join(folder, name), 'utf8'), name);
});

void t.test('the factor of similarities is limited, in the loss and in what is saved', async (t) => {
  const { model, step, parameters } = await ready({ max_logit_scale: 10 }, 0);
  t.ok(
    Math.abs((await step.run(await model.feeds(pairs, context()), { iteration: 0, lr: 0 }))['logit_scale'] - 10) < 1e-4,
  );
  const out = t.testdir();
  await model.save(out, { ...(await parameters.read(backend.states, 'params')), logit_scale: scalar(7) });
  t.ok(
    Math.abs(
      floats(await (await openSafetensors(join(out, 'clip', 'model.safetensors'))).read('logit_scale'))[0] -
        Math.log(10),
    ) < 1e-6,
  );
});

void t.test('captions of the same tokens are the same, and class pictures are further pairs', async (t) => {
  const { model } = await ready();
  const {
    same,
    images,
    text_rows: rows,
  } = await model.feeds(
    [
      { ...pairs[0], prior: pairs[2] },
      { ...pairs[1], text: 'A  Red dog' },
    ],
    context(),
  );
  t.strictSame([...floats(same)], [1, 0, 1, 0, 1, 0, 1, 0, 1]);
  t.strictSame(images.shape, [3, 3, 16, 16]);
  t.strictSame([...(rows.data as Int32Array)], [4, 12, 20], 'start, three words, end; eight tokens each');
});

void t.test('pictures reach the tower as preprocessor_config.json says', async (t) => {
  const { model } = await ready(),
    out = t.testdir();
  const saved = join(out, 'other');
  await model.save(saved, await model.initialValues(new Rng(0)));
  const file = join(saved, 'clip', 'preprocessor_config.json'),
    mean = [0.1, 0.2, 0.3],
    std = [0.5, 0.6, 0.7];
  await writeFile(file, JSON.stringify({ ...(await readJson(file, '')), image_mean: mean, image_std: std }));
  const other = build(MODELS, { type: 'ContrastiveCLIP', model: join(saved, 'clip') }) as ContrastiveCLIP;
  await other.load();
  const at = async (m: ContrastiveCLIP, feeds: Feeds): Promise<number> => {
    const parameters = new Parameters(m.parameters());
    const step = new TrainStep({
      model: m,
      backend,
      parameters,
      optimizer: new AdamW({ lr: 0, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0 }),
      accumulativeCounts: 1,
      maxIters: 1,
    });
    await step.init(await m.initialValues(new Rng(0)));
    const { loss } = await step.run(feeds, { iteration: 0, lr: 0 });
    await step.dispose();
    return loss;
  };
  const feeds = await model.feeds(pairs, context());
  // The same normalised values by another way: x' such that (x'/2 + 0.5 - mean') / std' = (x/2 + 0.5 - mean) / std.
  const clipMean = [0.48145466, 0.4578275, 0.40821073],
    clipStd = [0.26862954, 0.26130258, 0.27577711];
  const moved = float32(
    floats(feeds['images']).map((v, i) => {
      const c = Math.floor(i / 256) % 3;
      return 2 * (((v / 2 + 0.5 - clipMean[c]) / clipStd[c]) * std[c] + mean[c] - 0.5);
    }),
    feeds['images'].shape,
  );
  const expected = await at(model, feeds);
  t.ok(Math.abs((await at(other, { ...feeds, images: moved })) - expected) < 1e-5);
  t.ok(Math.abs((await at(other, feeds)) - expected) > 1e-4);
});

void t.test('what it cannot do is said: other sizes, drawing from prompts, a folder that is no CLIP', async (t) => {
  const { model } = await ready();
  await t.rejects(model.feeds([{ text: 'a', img: float32(new Float32Array(3 * 32 * 32), [3, 32, 32]) }], context()), {
    name: 'UserError',
    message:
      "model: pictures are 32x32 pixels, this CLIP takes 16x16; change Resize and crop of the dataset's pipeline",
  });
  await t.rejects(model.sample().next(), {
    name: 'UserError',
    message: 'model: a CLIP draws no pictures; remove the VisualizationHook (custom_hooks.preview: null)',
  });
  const empty = build(MODELS, { type: 'ContrastiveCLIP', model: t.testdir() });
  await t.rejects(empty.load(), { name: 'UserError', message: /config\.json: missing; a CLIP checkpoint has one$/ });
  const feedsOfLong = await model.feeds([{ ...pairs[0], text: 'a red dog a blue cup a green dog' }], context());
  t.equal(feedsOfLong['input_ids'].shape[1], 8);
  t.ok(
    log.lines.includes(
      'warning: caption: longer than 8 tokens, the end is cut off: "a red dog a blue cup a green dog"',
    ),
  );
});
