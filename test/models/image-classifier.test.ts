/** A picture classifier: labels from texts, its loss by hand, its gradient, a run, and the folder it is opened from. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { loadComponents } from '../../src/components.js';
import { boxBlur, degrade, halveAndDouble } from '../../src/models/classifier-augment.js';
import { mostProbable, openClassifier } from '../../src/sampling/picture-classifier.js';
import { checkAttributes, oneHot, PhraseFinder } from '../../src/networks/classifier-labels.js';
import { attributeAccuracy, attributeLoss } from '../../src/models/classifier-loss.js';
import { classifierLogits, classifierShapes } from '../../src/networks/classifier.js';
import type { ImageClassifier } from '../../src/models/image-classifier.js';
import { Scope } from '../../src/networks/layers/scope.js';
import { type TrainSample, MODELS } from '../../src/models/model.js';
import { Rng } from '../../src/base/rng.js';
import { createBuild } from '../../src/registry/container.js';
import { LOGGER } from '../../src/registry/tokens.js';
import { grad } from '../../src/tensor/autodiff.js';
import { floats, float32, type HostTensor } from '../../src/tensor/host.js';
import { constant, input } from '../../src/tensor/tensor.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { evaluate, onnxRuntime, sourceOf, total, valueOf, wave } from '../fixtures/networks/networks.js';
import { trainable, type Ready } from '../fixtures/models/training.js';

t.setTimeout(120_000);
await loadComponents();
const backend = onnxRuntime(t),
  log = new Lines(),
  build = createBuild([[LOGGER, log]]);
const ATTRIBUTES = { shape: ['a disc', 'a square'], colour: ['red', 'green', 'dark green'] };
const SMALL = { attributes: ATTRIBUTES, channels: [8, 16], image_size: 16 };

const made = (options: object = {}): ImageClassifier =>
  build(MODELS, { type: 'ImageClassifier', ...SMALL, ...options }) as ImageClassifier;
const ready = (options: object = {}, lr = 1e-3): Promise<Ready<ImageClassifier>> =>
  trainable(made(options), backend, lr);
const context = (iteration = 0, seed = 3): { iteration: number; rng: Rng } => ({ iteration, rng: new Rng(seed) });
const matrix = (rows: readonly (readonly number[])[]): HostTensor =>
  float32(rows.flat(), [rows.length, rows[0].length]);
const near = (t: Test, actual: ArrayLike<number>, expected: readonly number[], tolerance = 1e-6): void => {
  t.equal(actual.length, expected.length);
  const off = expected.findIndex((v, i) => !(Math.abs(actual[i] - v) <= tolerance));
  t.ok(off === -1, `${off}: ${actual[off]} against ${expected[off]}`);
};

/** A disc or a square of 16 px in one of three colours on grey, at one of four places. */
function drawing(shape: number, colour: number, place: number): Uint8Array {
  const [cx, cy] = [
      [5, 5],
      [10, 5],
      [5, 10],
      [10, 10],
    ][place],
    rgb = [
      [220, 30, 30],
      [60, 230, 60],
      [10, 80, 10],
    ][colour];
  return Uint8Array.from({ length: 768 }, (_, i) => {
    const dx = Math.abs((Math.floor(i / 3) % 16) - cx),
      dy = Math.abs(Math.floor(i / 48) - cy);
    return (shape === 0 ? Math.hypot(dx, dy) <= 4.3 : Math.max(dx, dy) <= 4) ? rgb[i % 3] : 128;
  });
}
const PICTURES = [0, 1].flatMap((shape) =>
  [0, 1, 2].flatMap((colour) => [0, 1, 2, 3].map((place) => ({ shape, colour, bytes: drawing(shape, colour, place) }))),
);
const SAMPLES: TrainSample[] = PICTURES.map(({ shape, colour, bytes }) => ({
  text: `${ATTRIBUTES.shape[shape]} in ${ATTRIBUTES.colour[colour]}`,
  img: float32(
    Float32Array.from({ length: 768 }, (_, i) => bytes[3 * (i % 256) + Math.floor(i / 256)] / 127.5 - 1),
    [3, 16, 16],
  ),
}));
const IMAGES = PICTURES.map(({ bytes }): HostTensor => ({ dtype: 'uint8', shape: [16, 16, 3], data: bytes }));

void t.test('a label is the one phrase that a text has as whole words', (t) => {
  const subject = new PhraseFinder(['dog', 'cat', 'hot dog', 'sea horse']),
    setting = new PhraseFinder(['at the beach', 'at night', 'in the snow']);
  const cases: [PhraseFinder, string, number | undefined][] = [
    [subject, 'a photo of a red cat on grass', 1],
    [subject, 'Dog.', 0],
    [subject, "the CAT's cup", 1],
    [subject, 'a dog and another dog', 0],
    [subject, 'a caterpillar', undefined],
    [subject, 'a bobcat', undefined],
    [subject, 'a cat-flap', undefined],
    [subject, 'chat_cat', undefined],
    [subject, 'cats', undefined],
    [subject, 'ein écat', undefined],
    [subject, 'a dog and a cat', undefined],
    [subject, 'a hot dog', 2],
    [subject, 'a dog with a hot dog', undefined],
    [subject, 'a sea\n horse', 3],
    [subject, '', undefined],
    [setting, 'a photo of a dog at the beach', 0],
    [setting, 'at the beaches', undefined],
    [setting, 'a dog at the beach at night', undefined],
    [setting, 'the beach', undefined],
  ];
  for (const [finder, text, expected] of cases) t.equal(finder.find(text), expected, `"${text}"`);
  t.equal(new PhraseFinder(['c++ (new)', 'c.d']).find('in c++ (new) style'), 0, 'phrases are no patterns');
  t.equal(new PhraseFinder(['c++', 'c.d']).find('a cxd'), undefined);
  t.strictSame([...floats(oneHot([1, undefined, 0], 2))], [0, 1, 0, 0, 1, 0]);
  t.end();
});

void t.test('feeds label each row and attribute, and class pictures are further rows', async (t) => {
  const img = SAMPLES[0].img,
    text = (words: string): TrainSample => ({ img, text: words });
  const feeds = await made().feeds(
    [text('a disc in dark green'), { ...text('a square'), prior: text('a red or green disc') }, text('no more')],
    context(),
  );
  t.strictSame(Object.keys(feeds), ['images', 'labels.shape', 'labels.colour']);
  t.strictSame(feeds['images'].shape, [4, 3, 16, 16]);
  t.strictSame([...floats(feeds['labels.shape'])], [1, 0, 0, 1, 0, 0, 0, 0], '"a red or green disc" has not "a disc"');
  t.strictSame([...floats(feeds['labels.colour'])], [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 'two colours say nothing');
  t.strictSame(floats(feeds['images']).subarray(0, 768), floats(img), 'without augment the picture is as it was');
});

void t.test('the loss is the mean cross-entropy of the labels there are', async (t) => {
  const a = constant(
      matrix([
        [0, Math.log(3)],
        [5, 1],
        [0, 0],
      ]),
    ),
    b = constant(
      matrix([
        [0, 0, 0],
        [0, Math.log(2), 0],
        [9, 9, 9],
      ]),
    );
  const none = constant(
      matrix([
        [0, 0],
        [0, 0],
        [0, 0],
      ]),
    ),
    A = constant(
      matrix([
        [1, 0],
        [0, 0],
        [0, 1],
      ]),
    ),
    B = constant(
      matrix([
        [0, 0, 0],
        [0, 1, 0],
        [0, 0, 0],
      ]),
    );
  near(t, await valueOf(attributeLoss({ a, b }, { a: A, b: B })), [(Math.log(4) + Math.log(2) + Math.log(2)) / 3]);
  near(t, await valueOf(attributeLoss({ a }, { a: none })), [0], 0);
  near(
    t,
    await valueOf(attributeLoss({ a: constant(matrix([[1e4, -1e4]])) }, { a: constant(matrix([[0, 1]])) })),
    [2e4],
    1e-2,
  );
});

void t.test('accuracy counts labelled rows only', async (t) => {
  const logits = constant(
      matrix([
        [2, 1],
        [2, 1],
        [0, 3],
        [-1, -2],
      ]),
    ),
    of = (rows: number[][]): Promise<number[]> => valueOf(attributeAccuracy(logits, constant(matrix(rows))));
  near(
    t,
    await of([
      [1, 0],
      [0, 1],
      [0, 1],
      [0, 0],
    ]),
    [2 / 3],
  );
  near(
    t,
    await of([
      [0, 0],
      [0, 0],
      [0, 0],
      [1, 0],
    ]),
    [1],
  );
  near(
    t,
    await of([
      [0, 0],
      [0, 0],
      [0, 0],
      [0, 1],
    ]),
    [0],
    0,
  );
  near(
    t,
    await of([
      [0, 0],
      [0, 0],
      [0, 0],
      [0, 0],
    ]),
    [0],
    0,
  );
  near(
    t,
    await valueOf(
      attributeAccuracy(
        constant(
          matrix([
            [1, 1],
            [0, 1],
          ]),
        ),
        constant(
          matrix([
            [1, 0],
            [0, 1],
          ]),
        ),
      ),
    ),
    [0.5],
  ); // equal ones are no answer
});

void t.test('the gradient is that of finite differences, on both engines', async (t) => {
  const config = { attributes: ATTRIBUTES, channels: [8, 8], imageSize: 8 };
  const shapes = classifierShapes(config),
    names = [
      'stages.0.conv.weight',
      'stages.0.resnet.norm1.weight',
      'stages.1.resnet.conv2.weight',
      'norm.bias',
      'heads.shape.weight',
      'heads.colour.bias',
    ];
  const start = new Map([...shapes].map(([name, shape], k) => [name, wave(shape, 31 * k)]));
  const build = () => {
    const leaves = new Map(
      [...shapes].map(([name, shape]) => [
        name,
        names.includes(name) ? input(name, shape) : constant(start.get(name) as HostTensor),
      ]),
    );
    const logits = classifierLogits(
      new Scope({ get: (name) => leaves.get(name) as ReturnType<typeof input> }),
      constant(wave([2, 3, 8, 8], 5)),
      config,
    );
    const loss = attributeLoss(logits, {
      shape: constant(
        matrix([
          [1, 0],
          [0, 0],
        ]),
      ),
      colour: constant(
        matrix([
          [0, 0, 1],
          [0, 1, 0],
        ]),
      ),
    });
    const slopes = grad(
      loss,
      names.map((name) => leaves.get(name) as ReturnType<typeof input>),
    );
    return { loss, ...Object.fromEntries(names.map((name, i) => [`d ${name}`, slopes[i]])) };
  };
  const feeds = Object.fromEntries(names.map((name) => [name, start.get(name) as HostTensor]));
  const reference = new ReferenceBackend({}),
    program = await reference.compile({ name: 'loss', outputs: build() });
  const slopes = await program.run(feeds),
    onnx = await evaluate(backend, build(), feeds);
  for (const name of names) {
    const slope = floats(slopes[`d ${name}`]),
      at = floats(feeds[name]),
      step = 2e-3;
    near(t, floats(onnx[`d ${name}`]), [...slope], 1e-5);
    for (const i of [0, 1, Math.floor(at.length / 2), at.length - 1]) {
      const moved = async (by: number): Promise<number> =>
        floats(
          (
            await program.run({
              ...feeds,
              [name]: float32(
                at.map((v, k) => (k === i ? v + by : v)),
                shapes.get(name) as readonly number[],
              ),
            })
          )['loss'],
        )[0];
      const expected = ((await moved(step)) - (await moved(-step))) / (2 * step);
      t.ok(
        Math.abs(slope[i] - expected) < 1e-3 * (0.1 + Math.abs(expected)),
        `${name} ${i}: ${slope[i]} against ${expected}`,
      );
    }
  }
  await program.dispose();
});

void t.test('it starts with all phrases equally probable, and learns shapes and colours in sixty steps', async (t) => {
  const { model, step, parameters } = await ready({}, 1e-2);
  const logs: Record<string, number>[] = [];
  for (let i = 0; i < 60; i++)
    logs.push(await step.run(await model.feeds(SAMPLES, context(i)), { iteration: i, lr: 1e-2 }));
  t.ok(Math.abs(logs[0]['loss'] - (Math.log(2) + Math.log(3)) / 2) < 1e-5, `${logs[0]['loss']}`);
  t.equal(logs[59]['accuracy_shape'], 1);
  t.equal(logs[59]['accuracy_colour'], 1);
  t.ok(logs[59]['loss'] < 0.1, `${logs[59]['loss']}`);

  const out = t.testdir(),
    values = await parameters.read(backend.states, 'params');
  await model.save(out, values);
  t.strictSame((await readdir(join(out, 'classifier'))).sort(), ['config.json', 'model.safetensors']);
  const classifier = await openClassifier(out, backend),
    reference = await openClassifier(join(out, 'classifier'), new ReferenceBackend({}));
  t.equal(classifier.fingerprint, reference.fingerprint);
  t.strictSame(classifier.attributes, ATTRIBUTES);
  const many = [...IMAGES, ...IMAGES],
    results = await classifier.classify(many); // 48: one batch and a half
  t.equal(results.length, 48);
  results.forEach((probabilities, i) => {
    const { shape, colour } = PICTURES[i % 24];
    t.equal(mostProbable(ATTRIBUTES.shape, probabilities['shape']), ATTRIBUTES.shape[shape]);
    t.equal(mostProbable(ATTRIBUTES.colour, probabilities['colour']), ATTRIBUTES.colour[colour]);
    if (i >= 24) near(t, probabilities['colour'], [...results[i - 24]['colour']], 1e-6);
  });
  // The trained values themselves, on the batch that they were trained on.
  const expected = await evaluate(
    backend,
    classifierLogits(new Scope(sourceOf((name) => values[name])), input('images', [24, 3, 16, 16]), {
      attributes: ATTRIBUTES,
      channels: [8, 16],
      imageSize: 16,
    }),
    { images: (await model.feeds(SAMPLES, context()))['images'] },
  );
  results.slice(0, 24).forEach((probabilities, i) => {
    const exps = [0, 1, 2].map((k) => Math.exp(floats(expected['colour'])[3 * i + k])),
      sum = exps[0] + exps[1] + exps[2];
    near(
      t,
      probabilities['colour'],
      exps.map((e) => e / sum),
      1e-5,
    );
  });
  const exact = await reference.classify(IMAGES.slice(0, 2));
  exact.forEach((probabilities, i) => {
    for (const name of ['shape', 'colour']) near(t, results[i][name], [...probabilities[name]], 1e-5);
  });
  await classifier.dispose();
  t.strictSame(await classifier.classify([]), []);
  near(t, (await classifier.classify([IMAGES[3]]))[0]['shape'], [...results[3]['shape']], 1e-6);
  await classifier.dispose();
});

void t.test('the default network has 0.74 million parameters, He start values and heads of zeros', async (t) => {
  const model = made({ channels: undefined, image_size: undefined }),
    values = await model.initialValues(new Rng(1));
  t.equal(model.counts.trainable, total(model.parameters()));
  t.equal(model.counts.trainable, 741_285);
  const conv = floats(values['stages.3.resnet.conv1.weight']),
    deviation = Math.sqrt(conv.reduce((n, v) => n + v * v, 0) / conv.length);
  t.ok(Math.abs(deviation / Math.sqrt(2 / (128 * 9)) - 1) < 0.01, `${deviation}`);
  t.strictSame([...floats(values['norm.weight'])], Array(128).fill(1));
  t.strictSame([...floats(values['stages.0.resnet.norm2.weight'])], Array(32).fill(1));
  t.ok(
    ['heads.shape.weight', 'heads.colour.bias', 'norm.bias', 'stages.1.conv.bias'].every((name) =>
      floats(values[name]).every((v) => v === 0),
    ),
  );
  t.strictSame(
    floats((await model.initialValues(new Rng(1)))['stages.0.conv.weight']),
    floats(values['stages.0.conv.weight']),
  );
  t.notSame(
    floats((await model.initialValues(new Rng(2)))['stages.0.conv.weight']),
    floats(values['stages.0.conv.weight']),
  );
  t.not(model.fingerprint, made().fingerprint);
});

void t.test('softening is that of literals', (t) => {
  const step = Float32Array.from([0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 9]); // 3 rows of 4
  near(t, boxBlur(step, 3, 4), [0, 0, 3, 6, 0, 0, 3, 6, 0, 0, 3, 6]);
  const point = Float32Array.from([0, 0, 0, 0, 9, 0, 0, 0, 0]);
  near(t, boxBlur(point, 3, 3), Array(9).fill(1));
  // pairs (0,0), (0,8) -> 0, 4 -> 0, 0.25*4, 0.75*4, 4
  near(t, halveAndDouble(Float32Array.from([0, 0, 0, 8]), 1, 4), [0, 1, 3, 4]);
  near(t, halveAndDouble(Float32Array.from([0, 0, 8]), 1, 3), [0, 2, 6]);
  near(t, halveAndDouble(Float32Array.from([0, 0, 0, 8]), 4, 1), [0, 1, 3, 4]);
  near(t, halveAndDouble(Float32Array.from([1, 1, 1, 1, 5, 5, 5, 5]), 2, 2), [1, 1, 1, 1, 5, 5, 5, 5], 0);
  t.end();
});

void t.test('augment changes a row by (seed, iteration, row) only, by as much as it says', async (t) => {
  const grey: TrainSample = { text: 'a disc', img: float32(new Float32Array(768).fill(0.25), [3, 16, 16]) };
  const images = async (options: object, iteration: number, rows = 3, seed = 3): Promise<Float32Array> =>
    floats(
      (
        await made({ augment: options }).feeds(
          Array.from({ length: rows }, () => grey),
          context(iteration, seed),
        )
      )['images'],
    );
  const noisy = await images({ noise: 0.5 }, 7);
  t.strictSame(await images({ noise: 0.5 }, 7), noisy);
  t.strictSame(await images({ noise: 0.5 }, 7, 2), noisy.slice(0, 2 * 768), 'a row does not depend on the batch');
  t.notSame(await images({ noise: 0.5 }, 8), noisy);
  t.notSame(await images({ noise: 0.5 }, 7, 3, 4), noisy);
  t.notSame(noisy.slice(0, 768), noisy.slice(768, 1536));
  t.strictSame(floats(grey.img), new Float32Array(768).fill(0.25), 'the sample of the dataset stays as it is');
  near(t, await images({ blur: 1 }, 0), Array(3 * 768).fill(0.25)); // nothing to soften

  const many = await images({ noise: 0.5 }, 1, 60),
    deviations = Array.from({ length: 60 }, (_, row) =>
      Math.sqrt(many.subarray(row * 768, (row + 1) * 768).reduce((n, v) => n + (v - 0.25) ** 2, 0) / 768),
    );
  t.ok(Math.max(...deviations) < 0.55 && Math.max(...deviations) > 0.4, `${Math.max(...deviations)}`);
  t.ok(Math.min(...deviations) < 0.1, `${Math.min(...deviations)}`);

  const edges = floats(SAMPLES[0].img),
    softened = (blur: number): number =>
      Array.from({ length: 200 }, (_, i) =>
        degrade(edges, [16, 16], { noise: 0, blur }, new Rng(1).stream('x', i)),
      ).filter((p) => p.some((v, i) => v !== edges[i])).length;
  t.equal(softened(1), 200);
  t.equal(softened(0), 0);
  t.ok(softened(0.3) > 40 && softened(0.3) < 80, `${softened(0.3)} of 200`); // 60 +- 3 deviations
});

void t.test('an attribute that no text speaks of is told once', async (t) => {
  const model = made({ attributes: { shape: ATTRIBUTES.shape, colour: ['rot', 'gruen'] } });
  log.lines.length = 0;
  for (let i = 0; i < 20; i++) await model.feeds(SAMPLES, context(i));
  t.strictSame(log.lines, [
    'warning: model.attributes.colour: none of the first 216 texts has exactly one of its phrases, such as "a disc in red"; it is not learnt from them',
  ]);
});

void t.test('what it cannot do is said: attributes that are none, odd widths, other sizes, drawing', async (t) => {
  const fails = (attributes: unknown, message: string): void =>
    void t.throws(() => checkAttributes(attributes, 'model.attributes'), { name: 'UserError', message });
  fails({}, "model.attributes: {} names no attribute; write { subject: ['dog', 'cat'] }");
  fails({ 'a.b': ['x', 'y'] }, 'model.attributes: "a.b" is not a name of an attribute; take letters, digits and _');
  fails({ subject: ['dog'] }, 'model.attributes.subject: ["dog"] is not a list of two or more phrases');
  fails({ subject: ['dog', ' '] }, 'model.attributes.subject: an empty phrase is in every text; leave it out');
  fails({ subject: ['dog', 'cat', 'Dog'] }, 'model.attributes.subject: "dog" is there twice; leave one out');
  t.throws(() => made({ channels: [8, 20] }), {
    name: 'UserError',
    message: 'model.channels: 20 is not a multiple of 8, the groups of the group norms; take 24',
  });
  await t.rejects(made().feeds([{ text: '', img: float32(new Float32Array(3 * 8 * 16), [3, 8, 16]) }], context()), {
    name: 'UserError',
    message:
      "model: pictures are 16x8 pixels, this classifier takes 16x16; set model.image_size, or change Resize and crop of the dataset's pipeline",
  });
  await t.rejects(made().sample().next(), {
    name: 'UserError',
    message: 'model: a classifier draws no pictures; remove the VisualizationHook (custom_hooks.preview: null)',
  });
});

void t.test(
  'a folder that is no classifier is refused by what is wrong with it, and pictures of other sizes are resampled',
  async (t) => {
    const { model, parameters } = await ready(),
      out = t.testdir();
    await t.rejects(openClassifier(out, backend), {
      name: 'UserError',
      message: /config\.json: missing; a trained ImageClassifier has one \(classifier\/config\.json\)$/,
    });
    await model.save(out, await parameters.read(backend.states, 'params'));
    const file = join(out, 'classifier', 'config.json'),
      saved = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    t.strictSame(saved, { _class_name: 'ImageClassifier', attributes: ATTRIBUTES, channels: [8, 16], image_size: 16 });
    const cases: [object, RegExp][] = [
      [{ _class_name: 'CLIPModel' }, /_class_name = "CLIPModel" is not supported; supported: "ImageClassifier"/],
      [{ groups: 4 }, /unknown field "groups" = 4/],
      [{ image_size: undefined }, /config\.json: no "image_size"/],
      [
        { attributes: { shape: ['a disc', 'a square', 'a star'], colour: ATTRIBUTES.colour } },
        /tensor "heads\.shape\.weight" has shape \[2,16\], the config\.json asks for \[3,16\]/,
      ],
      [{ channels: [8] }, /missing heads|unexpected|has shape/],
    ];
    for (const [change, message] of cases) {
      await writeFile(file, JSON.stringify({ ...saved, ...change }));
      await t.rejects(openClassifier(out, backend), { name: 'UserError', message });
    }
    await writeFile(file, JSON.stringify(saved));
    const classifier = await openClassifier(out, backend);
    const doubled: HostTensor = { dtype: 'uint8', shape: [32, 32, 3], data: new Uint8Array(3072).fill(128) },
      plain: HostTensor = { dtype: 'uint8', shape: [16, 16, 3], data: new Uint8Array(768).fill(128) };
    const [large, small] = await classifier.classify([doubled, plain]);
    t.strictSame(large, small);
    await t.rejects(classifier.classify([{ dtype: 'uint8', shape: [16, 32, 3], data: new Uint8Array(1536) }]), {
      name: 'UserError',
      message: 'classifier: a picture of 32x16 pixels; it takes squares, such as 16x16',
    });
    await classifier.dispose();
  },
);
