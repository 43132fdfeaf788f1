/** What export-onnx writes, drawn by what a page runs, is what Node draws. */
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runInThisContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import * as ort from 'onnxruntime-web';
import t from 'tap';
import type * as Browser from '../../src/browser/index.js';
import { exportOnnx, loadPipeline, train } from '../../src/index.js';
import { bundleForBrowsers } from '../fixtures/browser/bundle.js';
import { UNWATCHED } from '../fixtures/browser/toyland-dog.js';
import { Project } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const MODEL = 'assets/toyland-small-sd';
const DRAW = { prompt: 'a photo of a red dog in a bucket', seed: 3, steps: 4 } as const;
/** Of 255. The same arithmetic in another order: float32 sums differ in their last bits. */
const LIMIT = 1;

const folder = t.testdir({});
const reader = (at: string) => async (path: string) =>
  existsSync(join(at, path)) ? new Uint8Array(await readFile(join(at, path))) : undefined;
const difference = (a: Uint8Array, b: Uint8Array): { most: number; mean: number } => {
  const each = Array.from(a, (v, i) => Math.abs(v - b[i]));
  return { most: each.reduce((x, y) => Math.max(x, y)), mean: each.reduce((x, y) => x + y) / each.length };
};

const bundle = await bundleForBrowsers(join(folder, 'bundle'));
const { loadOnnxPipeline } = runInThisContext(`${bundle.code};diffengine`) as typeof Browser;
const node = await loadPipeline(MODEL);
t.teardown(() => node.dispose());

void t.test('the library for browsers imports nothing of Node, no container, and stays small', async (t) => {
  t.strictSame(bundle.foreign, []);
  const packed = gzipSync(bundle.code).length;
  t.comment(`${packed} bytes packed`);
  t.ok(packed < 100_000, `${packed} bytes packed`);
});

void t.test('a page draws the picture that Node draws, in any size, with any sampler, with an adapter', async (t) => {
  const out = join(folder, 'float32');
  const { files } = await exportOnnx(MODEL, { out });
  t.strictSame(
    files.map(({ component }) => component),
    ['text_encoder', 'unet', 'vae_decoder', 'vae_encoder'],
  );
  const opened: string[] = [];
  const page = await loadOnnxPipeline(reader(out), { ort, onLoad: (name) => void opened.push(name) });
  t.teardown(() => page.dispose());
  t.strictSame(opened, ['text_encoder', 'unet', 'vae_decoder']);
  t.equal(page.defaultSize, 64);
  const steps: string[] = [];
  const plain = await page.draw({ ...DRAW, onStep: (done, total) => void steps.push(`${done}/${total}`) });
  t.strictSame(steps, ['1/4', '2/4', '3/4', '4/4']);
  t.match(plain, { width: 64, height: 64, seed: 3, prompt: DRAW.prompt });
  t.equal(plain.rgba().length, 64 * 64 * 4);
  t.ok(difference(plain.data, (await node.draw(DRAW)).data).most <= LIMIT);

  const other = {
    ...DRAW,
    width: 96,
    height: 32,
    scheduler: 'PNDMScheduler',
    guidanceScale: 1,
    negativePrompt: 'a cat',
  };
  const rescaled = { ...DRAW, guidanceRescale: 0.7 },
    { data } = await page.draw(rescaled);
  t.ok(difference(data, plain.data).most > LIMIT, 'a rescaled guidance shows');
  t.ok(difference(data, (await node.draw(rescaled)).data).most <= LIMIT);
  steps.length = 0;
  const wide = await page.draw({ ...other, onStep: (done, total) => void steps.push(`${done}/${total}`) });
  const three = [0, 1, 2, 3].flatMap((step) => Array<string>(3).fill(`${step}/4`));
  t.strictSame(steps, [...three, '4/4'], 'Runge-Kutta steps of PNDM evaluate more often');
  t.strictSame([wide.width, wide.height], [96, 32]);
  t.ok(difference(wide.data, (await node.draw(other)).data).most <= LIMIT, 'another size and sampler');

  const run = join(folder, 'run');
  await train('toyland_small_sd_dreambooth_lora_dog', { workDir: run, options: UNWATCHED });
  const adapter = join(run, 'step1');
  await node.loadAdapter(adapter, { scale: 0.8 });
  await page.loadAdapter(reader(adapter), { scale: 0.8 });
  const adapted = await page.draw(DRAW);
  t.ok(difference(adapted.data, (await node.draw(DRAW)).data).most <= LIMIT, 'with an adapter');
  t.ok(difference(adapted.data, plain.data).most > 50, 'which changes the picture');
  await page.unloadAdapters();
  t.strictSame((await page.draw(DRAW)).data, plain.data, 'and comes off again');
  await node.unloadAdapters();

  const merged = join(folder, 'merged');
  await exportOnnx(MODEL, { out: merged, adapter: run, scale: 0.8 });
  const exported = await loadOnnxPipeline(reader(merged), { ort });
  t.teardown(() => exported.dispose());
  t.ok(difference((await exported.draw(DRAW)).data, adapted.data).most <= LIMIT, 'an adapter of the export');

  const strange = async (path: string) => reader(join(folder, 'strange'))(path);
  await t.rejects(page.loadAdapter(strange), {
    code: 'FILE_NOT_FOUND',
    message: 'adapter_config.json: missing; a PEFT adapter, or a checkpoint with unet/, has one',
  });
  await t.rejects(page.draw({ ...DRAW, width: 72 }), {
    message: 'draw: 72 x 64 pixels; width and height must be multiples of 32',
  });
  await t.rejects(page.draw({ ...DRAW, scheduler: 'DDIM' }), {
    message: /^draw\.scheduler: no scheduler "DDIM"; known: DDIMScheduler, /,
  });
  await t.rejects(page.draw({ ...DRAW, step: 3 } as never), {
    message: 'draw.step: unknown option; did you mean "steps"?',
  });
  await t.rejects(page.draw({ ...DRAW, signal: AbortSignal.abort() }), { code: 'INTERRUPTED' });
});

void t.test(
  'float16 weights halve the files, 8 bits quarter them; the first draw the same, the others alike',
  async (t) => {
    const { data: exact } = await node.draw(DRAW);
    const size = async (dtype: string): Promise<number> =>
      (await stat(join(folder, dtype, 'unet/model.onnx_data'))).size;
    const whole = await size('float32');
    for (const [dtype, share, mean] of [
      ['float16', 0.51, 0.5],
      ['int8', 0.28, 15],
    ] as const) {
      await exportOnnx(MODEL, { out: join(folder, dtype), dtype });
      t.ok((await size(dtype)) / whole < share, `${dtype}: ${(await size(dtype)) / whole} of the size`);
      const page = await loadOnnxPipeline(reader(join(folder, dtype)), { ort });
      const drawn = difference((await page.draw(DRAW)).data, exact);
      t.ok(drawn.mean < mean, `${dtype}: ${drawn.mean} of 255 in the mean, ${drawn.most} at most`);
      t.comment(`${dtype}: ${JSON.stringify(drawn)}`);
      await page.loadAdapter(reader(join(folder, 'run/step1')), { scale: 0.8 });
      await node.loadAdapter(join(folder, 'run/step1'), { scale: 0.8 });
      const adapted = difference((await page.draw(DRAW)).data, (await node.draw(DRAW)).data);
      await node.unloadAdapters();
      t.ok(adapted.mean < mean, `${dtype} with an adapter: ${adapted.mean} of 255 in the mean`);
      await page.dispose();
    }
  },
);

void t.test('export-onnx: mistakes are told before long work', async (t) => {
  const project = Project.create(t, {});
  await t.rejects(exportOnnx(MODEL, { out: folder }), { code: 'OUTPUT_EXISTS' });
  await t.rejects(exportOnnx(MODEL, { out: join(folder, 'new'), scale: 2 }), {
    message: 'exportOnnx.scale: 2, and there is no adapter; give one, or leave scale out',
  });
  const { code, err } = await project.run([
    'export-onnx',
    'package:assets/tiny-random-sd',
    '--out',
    'out',
    '--dtype',
    'float8',
  ]);
  t.equal(code, 1);
  t.match(err, /Allowed choices are float32, float16, int8/);
  const { code: done, out: said } = await project.run(['export-onnx', 'package:assets/tiny-random-sd', '--out', 'out']);
  t.equal(done, 0, said);
  t.match(said, /out\/unet\/model\.onnx: \d+ weights, [\d.]+ MB/);
});
