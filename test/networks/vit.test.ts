/** DINO's vision transformers against transformers' numbers (scripts/make-vit-fixture.py), their files, and the metric. */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { BACKEND } from '../../src/backends/backend.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { image } from '../../src/datasets/image/picture.js';
import { METRICS, type Evidence } from '../../src/evaluation/metrics/metric.js';
import '../../src/evaluation/metrics/dino-score.js';
import { parsePreprocess, preprocess } from '../../src/formats/picture-preprocess.js';
import { writeSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { openVit } from '../../src/formats/vit-folder.js';
import { Scope } from '../../src/networks/layers/scope.js';
import { bicubicRows, vit } from '../../src/networks/vit.js';
import { createBuild } from '../../src/registry/container.js';
import { LOGGER } from '../../src/registry/tokens.js';
import { float32, floats, sizeOf, type HostTensor } from '../../src/tensor/host.js';
import { input } from '../../src/tensor/tensor.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { relativeError } from '../golden.js';

interface ModelCase {
  readonly config: Record<string, unknown>;
  readonly names: Record<string, number[]>;
  readonly pixels: number[];
  readonly class_token: number[];
  readonly last_patch: number[];
}
interface ProcessorCase {
  readonly config: Record<string, unknown>;
  readonly side: number;
  readonly diagonal: number[][];
}
const { models, processors } = JSON.parse(readFileSync('test/fixtures/networks/vit.json', 'utf8')) as {
  models: Record<string, ModelCase>;
  processors: Record<string, ProcessorCase>;
};

/** As the script makes them. */
const formula = (shape: readonly number[], place: number, scale: number, plus = 0): HostTensor =>
  float32(
    Float32Array.from(
      { length: sizeOf(shape) },
      (_, i) => Math.fround(Math.sin(0.37 * i + 1.3 * place) * scale) + plus,
    ),
    shape,
  );

async function folderOf(t: Test, { config, names }: ModelCase, prefix = ''): Promise<string> {
  const folder = t.testdir();
  const isScale = (name: string): boolean =>
    name.endsWith('lambda1') || (name.endsWith('weight') && names[name].length === 1);
  await writeSafetensors(
    join(folder, 'model.safetensors'),
    Object.fromEntries(
      Object.keys(names)
        .sort()
        .map((name, k) => [prefix + name, formula(names[name], k, 0.25, isScale(name) ? 1 : 0)]),
    ),
  );
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  return folder;
}

for (const [name, one] of Object.entries(models))
  void t.test(`${name}: the class token and the last patch are those of transformers`, async (t) => {
    for (const prefix of ['', `${String(one.config['model_type'])}.`]) {
      const { config, source } = await openVit(await folderOf(t, one, prefix));
      const backend = new ReferenceBackend({}),
        pixels = formula(one.pixels, 99, 1);
      const program = await backend.compile({
        name,
        outputs: { out: vit(new Scope(source), input('pixels', one.pixels), config) },
      });
      const states = floats((await program.run({ pixels }))['out']),
        D = config.hiddenSize;
      t.ok(relativeError(states.slice(0, D), one.class_token) < 1e-5);
      t.ok(relativeError(states.slice(-D), one.last_patch) < 1e-5);
      await backend.dispose();
    }
  });

for (const [name, { config, side, diagonal }] of Object.entries(processors))
  void t.test(`${name}: pixels are those of transformers' processor`, (t) => {
    const settings = parsePreprocess(config, name === 'vit' ? 16 : undefined, 'preprocessor_config.json');
    t.equal(settings.size, side);
    const [H, W] = [30, 41];
    const data = Uint8Array.from({ length: H * W * 3 }, (_, i) => {
      const c = i % 3,
        x = Math.floor(i / 3) % W,
        y = Math.floor(i / 3 / W);
      return (7 * x + 13 * y + 40 * c + x * y) % 256;
    });
    const pixels = new Float32Array(3 * side * side);
    preprocess(image(data, H, W), settings, pixels);
    const seen = diagonal.map((_, i) => [0, 1, 2].map((c) => pixels[(c * side + i) * side + i]));
    t.ok(relativeError(seen.flat(), diagonal.flat()) < 1e-6);
    t.end();
  });

void t.test('interpolation takes one part in all of what it reads, and nothing moves where sizes are equal', (t) => {
  for (const row of bicubicRows(5, 9)) t.ok(Math.abs(row.reduce((a, b) => a + b, 0) - 1) < 1e-12);
  t.strictSame(
    bicubicRows(3, 3).map((row) => row.map((v) => v + 0)),
    [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ],
  );
  t.end();
});

void t.test('what is no such model is refused by name', async (t) => {
  const folder = await folderOf(t, models['vit']);
  const refuses = async (change: Record<string, unknown>, message: RegExp): Promise<void> => {
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ...models['vit'].config, ...change }));
    await t.rejects(openVit(folder), { name: 'UserError', message });
  };
  await refuses(
    { model_type: 'dinov2_with_registers' },
    /model_type = "dinov2_with_registers" is not supported; supported: "vit"/,
  );
  await refuses({ hidden_act: 'relu' }, /hidden_act = "relu" is not supported/);
  await refuses({ patch_size: 64 }, /patch_size 64 is larger than image_size 32/);
  await refuses({ num_hidden_layers: 3 }, /missing encoder\.layer\.2\./);
  await refuses({ strange: 1 }, /unknown field "strange"/);
  await writeFile(join(folder, 'config.json'), JSON.stringify(models['vit'].config));
  await writeFile(join(folder, 'preprocessor_config.json'), '{"size": 16}');
  await t.rejects(openVit(folder), {
    message: /gives pictures of \[16,16\] pixels, the model takes 32x32; set crop_size to 32/,
  });
  await writeFile(join(folder, 'preprocessor_config.json'), '{"image_processor_type": "SamImageProcessor"}');
  await t.rejects(openVit(folder), { message: /image_processor_type = "SamImageProcessor" is not supported/ });
});

const OTHERS = 'other-dogs';

void t.test('DinoScore is the mean cosine over pairs, of pictures of any size', async (t) => {
  const folder = await folderOf(t, models['dinov2']),
    backend = new ReferenceBackend({});
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, 'preprocessor_config.json'),
    '{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}',
  );
  const metric = createBuild([
    [BACKEND, backend],
    [LOGGER, new Lines()],
  ])(METRICS, { type: 'DinoScore', model: folder, others: OTHERS });
  const picture = (seed: number, side: number): HostTensor =>
    image(
      Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * seed + seed * seed) % 251),
      side,
      side,
    );
  const sides: readonly (readonly [number, number])[] = [[3, 40], [11, 40], [13, 50]]; // prettier-ignore
  await metric.prepare((source, where) => {
    t.strictSame([source, where], [OTHERS, 'DinoScore.others']);
    return Promise.resolve({ length: 2, picture: (i) => Promise.resolve(picture(...sides[i + 1])) });
  });
  const none = { generated: [], texts: [], reference: [], instances: [] };
  const judged = (await metric.judge?.([picture(3, 40), picture(5, 40)], ['a dog', 'a dog'])) ?? [],
    subject = (await metric.judgeSubject?.([picture(3, 40), picture(7, 64)])) ?? [];
  const evidence: Evidence = { ...none, judged, subject };
  const cosine = (a: Float32Array, b: Float32Array): number => {
    const dot = (x: Float32Array, y: Float32Array): number => x.reduce((sum, v, i) => sum + v * y[i], 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  };
  const rows = judged.map((row) => row.subarray(1)),
    pairs = rows.flatMap((a) => subject.map((b) => cosine(a, b)));
  t.equal(pairs.length, 4);
  t.ok(Math.abs(pairs[0] - 1) < 1e-6, 'a picture is like itself');
  t.ok(pairs[1] < 0.9999, 'and less like another');
  t.ok(Math.abs(metric.scores(evidence)['DINO'] - pairs.reduce((a, b) => a + b, 0) / 4) < 1e-6);
  const scores = metric.scores(evidence);
  t.ok(Math.abs(scores['DIV'] - (1 - cosine(rows[0], rows[1]))) < 1e-6, 'of the pair with one prompt');
  const others = (await metric.judgeSubject?.(sides.slice(1).map((one) => picture(...one)))) ?? [];
  const most = (row: Float32Array, among: readonly Float32Array[]): number =>
    Math.max(...among.map((b) => cosine(row, b)));
  const recognised = rows.filter((row) => most(row, subject) > most(row, others)).length / 2;
  t.equal(scores['recognised'], recognised, "the picture itself is among the subject's");
  t.ok(recognised > 0);
  t.notOk('DIV' in metric.scores({ ...evidence, judged: [judged[0], judged[0]] }), 'one picture twice is no pair');
  await metric.dispose();
  await backend.dispose();
});
