/** Accuracy by attribute: the interval against published values, and pictures judged by a classifier whose answers are known. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type AttributeAccuracy, wilson } from '../../../src/evaluation/metrics/attribute-accuracy.js';
import { type Evidence, type Rows, METRICS } from '../../../src/evaluation/metrics/metric.js';
import { ImageClassifier } from '../../../src/models/image-classifier.js';
import { Rng } from '../../../src/base/rng.js';
import { float32, type HostTensor } from '../../../src/tensor/host.js';
import { ReferenceBackend } from '../../../src/backends/reference/reference-backend.js';
import { createBuild } from '../../../src/registry/container.js';
import { BACKEND } from '../../../src/backends/backend.js';
import { LOGGER } from '../../../src/registry/tokens.js';
import { Lines } from '../../fixtures/engine/linear-run.js';

t.setTimeout(60_000);
const log = new Lines(),
  folder = t.testdir(),
  backend = new ReferenceBackend({});
const ATTRIBUTES = { subject: ['dog', 'cat'], setting: ['on grass', 'at the beach', 'in the snow'] };

/** It always answers "cat" and "on grass": all it has are the biases of its heads. */
const classifier = new ImageClassifier(
  { attributes: ATTRIBUTES, channels: [8], image_size: 8, augment: { noise: 0, blur: 0 } },
  log,
);
await classifier.save(folder, {
  ...(await classifier.initialValues(new Rng(0))),
  'heads.subject.bias': float32([0, 1], [2]),
  'heads.setting.bias': float32([0.3, 0.2, -5], [3]),
});

const metric = (attributes: string[] | null = null, where = folder): AttributeAccuracy =>
  createBuild([
    [BACKEND, backend],
    [LOGGER, log],
  ])(METRICS, { type: 'AttributeAccuracy', classifier: where, attributes }) as AttributeAccuracy;
const evidence = (judged: Rows): Evidence => ({
  generated: [],
  texts: [],
  reference: [],
  instances: [],
  subject: [],
  judged,
});
const pictures = (n: number): HostTensor[] =>
  Array.from({ length: n }, (_, i) => ({ dtype: 'uint8', shape: [8, 8, 3], data: new Uint8Array(192).fill(i) }));
const near = (t: Test, actual: readonly number[], expected: readonly number[]): void =>
  expected.forEach((v, i) => t.ok(Math.abs(actual[i] - v) < 1e-12, `${actual[i]} against ${v}`));

void t.test('the interval is that of Wilson, and stays inside 0 to 1', (t) => {
  near(t, wilson(8, 10), [0.4901624715366418, 0.9433178485456248]);
  near(t, wilson(180, 200), [0.8505941875672826, 0.9343295513309041]);
  near(t, wilson(0, 10), [0, 0.2775327998628892]);
  near(t, wilson(1, 1), [0.20654931437723745, 1]);
  // Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29
  const published = [
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ];
  for (const [right, asked, low, high] of published)
    t.strictSame(
      wilson(right, asked).map((v) => Number(v.toFixed(4))),
      [low, high],
    );
  for (let n = 1; n < 300; n++)
    for (const right of [0, n])
      t.ok(
        wilson(right, n).every((v) => v >= 0 && v <= 1),
        `${right} of ${n}`,
      );
  t.end();
});

void t.test('a picture is right when its most probable phrase is the one asked for, per attribute', async (t) => {
  const judge = metric();
  t.strictSame(judge.needs, []);
  t.equal(judge.better, 'higher');
  const prompts = [
    'a cat on grass',
    'a photo of a dog at the beach',
    'a red cat in the snow',
    'a caterpillar',
    'a cat and a dog on grass',
  ];
  const judged = await judge.judge(pictures(5), prompts);
  t.strictSame(
    judged.map((row) => [...row]),
    [
      [1, 1],
      [0, 0],
      [1, 0],
      [-1, -1],
      [-1, 1],
    ],
  );
  const scores = judge.scores(evidence(judged));
  t.strictSame(Object.keys(scores), [
    'subject accuracy',
    'subject accuracy low',
    'subject accuracy high',
    'setting accuracy',
    'setting accuracy low',
    'setting accuracy high',
  ]);
  near(t, Object.values(scores), [2 / 3, 0.20765960080204765, 0.9385080552796037, 2 / 4, ...wilson(2, 4)]);
  await judge.dispose();
  t.strictSame(
    (await judge.judge(pictures(1), ['a cat'])).map((row) => [...row]),
    [[1, -1]],
    'it opens again',
  );
  await judge.dispose();
});

void t.test('a subset of the attributes, and prompts that ask for none', async (t) => {
  const judge = metric(['setting']);
  const judged = await judge.judge(pictures(2), ['a cat at the beach', 'a dog on grass']);
  t.strictSame(
    judged.map((row) => [...row]),
    [[0], [1]],
  );
  near(t, Object.values(judge.scores(evidence(judged))), [0.5, 0.09453120573423074, 0.9054687942657693]);
  log.lines.length = 0;
  t.strictSame(judge.scores(evidence(await judge.judge(pictures(2), ['a cat', 'a dog']))), {});
  await judge.judge(pictures(1), ['a cat']);
  t.strictSame(
    log.lines,
    [
      'warning: AttributeAccuracy: no prompt, such as "a cat", has exactly one phrase of setting; ask for what the classifier knows',
    ],
    'once',
  );
  await judge.dispose();
});

void t.test('unknown attributes and folders are told', async (t) => {
  await t.rejects(metric(['colour']).judge(pictures(1), ['a dog']), {
    name: 'UserError',
    message: `AttributeAccuracy.attributes: the classifier ${folder} knows no "colour"; it knows subject, setting`,
  });
  await t.rejects(metric(null, join(folder, 'none')).judge(pictures(1), ['a dog']), {
    name: 'UserError',
    message: /none: no such folder/,
  });
  const broken = metric(['colour']);
  await t.rejects(broken.judge(pictures(1), ['a dog']));
  await broken.dispose();
});
