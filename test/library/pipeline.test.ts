/** What programs call to draw: loadPipeline, its adapters, its pictures. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import {
  compress,
  convert,
  exportLora,
  exportOnnx,
  loadPipeline,
  makeModel,
  mergeLora,
  train,
  UserError,
  type DrawOptions,
  type Logger,
} from '../../src/index.js';
import { Project, SMALL_CONFIG } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const MODEL = 'package:assets/tiny-random-sd';
const DRAW = { prompt: 'a photo of sks dog', seed: 7, steps: 2, height: 64, width: 64 } as const;

const project = Project.create(t, { 'my.yaml': SMALL_CONFIG });
const run = (name: string, seed: number) =>
  train(project.file('my.yaml'), {
    workDir: project.file(name),
    options: { 'optim_wrapper.optimizer.lr': 0.05, 'randomness.seed': seed },
  });
await run('one', 1);
await run('two', 2);

void t.test('a picture is the bytes that the command line writes', async (t) => {
  const pipe = await loadPipeline(MODEL);
  t.teardown(() => pipe.dispose());
  t.equal(pipe.defaultSize, 64);
  const guided = { guidanceScale: 4, guidanceRescale: 0.5 };
  const picture = await pipe.draw({ ...DRAW, ...guided, negativePrompt: 'a cat', scheduler: 'DDIMScheduler' });
  t.match(picture, { width: 64, height: 64, seed: 7, prompt: DRAW.prompt });
  t.equal(picture.data.length, 64 * 64 * 3);
  await picture.save(project.file('library/picture.png'));
  const png = Buffer.from(await picture.png());
  t.ok(png.equals(readFileSync(project.file('library/picture.png'))));
  t.ok((await sharp(png).raw().toBuffer()).equals(picture.data));
  const arguments_ = ['--steps', '2', '--height', '64', '--width', '64', '--out', 'cli.png'];
  const same = [
    '--negative-prompt',
    'a cat',
    '--guidance',
    '4',
    '--guidance-rescale',
    '0.5',
    '--scheduler',
    'DDIMScheduler',
  ];
  const demo = await project.run(['demo', DRAW.prompt, MODEL, '--seed', '7', ...same, ...arguments_]);
  t.equal(demo.code, 0, demo.err);
  t.ok(png.equals(readFileSync(project.file('cli.png'))));

  await pipe.loadAdapter(project.file('one'), { scale: 0.7 });
  const trained = Buffer.from(await (await pipe.draw(DRAW)).png());
  const lora = await project.run([
    'demo_lora',
    DRAW.prompt,
    'one',
    '--lora-scale',
    '0.7',
    '--seed',
    '7',
    ...arguments_,
  ]);
  t.equal(lora.code, 0, lora.err);
  t.ok(trained.equals(readFileSync(project.file('cli.png'))), 'with an adapter too');
});

void t.test('adapters add up, each with a scale, and come off again', async (t) => {
  const pipe = await loadPipeline(MODEL);
  t.teardown(() => pipe.dispose());
  const draw = async (): Promise<Buffer> => Buffer.from((await pipe.draw(DRAW)).data);
  const plain = await draw();
  await pipe.loadAdapter(project.file('one'));
  const one = await draw();
  t.notOk(one.equals(plain));
  await pipe.loadAdapter(project.file('two'), { scale: 0.5 });
  const both = await draw();
  t.notOk(both.equals(one));
  await pipe.unloadAdapters();
  t.ok((await draw()).equals(plain));
  await pipe.loadAdapter(project.file('two'), { scale: 0.5 });
  await pipe.loadAdapter(project.file('one'));
  t.ok(distance(await draw(), both) <= 1, 'in any order');

  const merged = project.file('merged');
  t.strictSame(await mergeLora(MODEL, project.file('one'), { out: merged }), {
    out: merged,
    modules: { unet: 20, text_encoder: 0 },
  });
  const exported = project.file('two.safetensors');
  t.match(await exportLora(MODEL, project.file('two'), { out: exported }), { format: 'kohya', modules: { unet: 20 } });
  const other = await loadPipeline(merged);
  t.teardown(() => other.dispose());
  await t.rejects(other.loadAdapter(exported), { code: 'MODEL_MISMATCH' }, 'merged, the base is another one');
});

void t.test('a run that predicts otherwise than its base: what is made of it says so, and draws so', async (t) => {
  const predicts = project.file('predicts-v'),
    [merged, onnx] = [project.file('merged-v'), project.file('onnx-v')];
  await train(project.file('my.yaml'), { workDir: predicts, options: { 'model.prediction_type': 'v_prediction' } });
  await mergeLora(MODEL, predicts, { out: merged });
  await exportOnnx(MODEL, { out: onnx, adapter: predicts });
  for (const folder of [merged, onnx]) {
    const scheduler = JSON.parse(readFileSync(join(folder, 'scheduler', 'scheduler_config.json'), 'utf8')) as object;
    t.match(scheduler, { _class_name: 'PNDMScheduler', prediction_type: 'v_prediction' });
  }
  const [adapted, other] = await Promise.all([loadPipeline(MODEL), loadPipeline(merged)]);
  t.teardown(() => adapted.dispose());
  t.teardown(() => other.dispose());
  const epsilon = (await adapted.draw(DRAW)).data;
  await adapted.loadAdapter(predicts);
  const { data } = await adapted.draw(DRAW);
  t.ok(distance((await other.draw(DRAW)).data, data) <= 2, 'merged');
  t.ok(distance(epsilon, data) > 20, 'the base alone predicts the noise');
});

const distance = (a: Uint8Array, b: Uint8Array): number =>
  a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i])), 0);

void t.test('calls take their turn; a signal stops one and leaves the pipeline as it was', async (t) => {
  const pipe = await loadPipeline(MODEL);
  const controller = new AbortController(),
    seen: number[] = [];
  const [first, stopped, third] = await Promise.allSettled([
    pipe.draw({ ...DRAW, onStep: (done, total) => void seen.push(done, total) }),
    pipe.draw({ ...DRAW, signal: controller.signal, onStep: () => controller.abort('enough') }),
    pipe.draw(DRAW),
  ]);
  t.strictSame(seen, [0, 2, 1, 2, 2, 2], 'PNDM evaluates one more, first');
  t.match(stopped, { status: 'rejected', reason: { code: 'INTERRUPTED', cause: 'enough' } });
  if (first.status !== 'fulfilled' || third.status !== 'fulfilled') throw new Error('not drawn');
  t.ok(Buffer.from(third.value.data).equals(first.value.data), 'and the same seed gives the same picture');
  await pipe.dispose();
  await pipe.dispose();
  await t.rejects(pipe.draw(DRAW), { message: 'draw: the pipeline was disposed; load it again' });
  await t.rejects(loadPipeline(MODEL, { signal: controller.signal }), { code: 'INTERRUPTED' });
});

void t.test('mistakes are named, with a code, and leave the pipeline as it was', async (t) => {
  const pipe = await loadPipeline(MODEL);
  t.teardown(() => pipe[Symbol.asyncDispose]());
  const plain = Buffer.from((await pipe.draw(DRAW)).data);
  const refused = async (options: object, message: string): Promise<void> => {
    const error: unknown = await pipe.draw({ ...DRAW, ...options } as DrawOptions).catch((e: unknown) => e);
    t.ok(error instanceof UserError);
    t.match(error, { code: 'INVALID_INPUT', message });
  };
  await refused({ guidancescale: 5 }, 'draw.guidancescale: unknown option; did you mean "guidanceScale"?');
  await refused({ prompt: undefined }, 'draw.prompt: missing; it has no default');
  await refused({ seed: 1.5, steps: 0 }, 'draw.seed: expected integer, got 1.5\ndraw.steps: 0 must be >= 1');
  await refused({ width: 60 }, 'draw.width: 60 must be multiple of 8');
  await refused({ guidanceRescale: 1.5 }, 'draw.guidanceRescale: 1.5 must be <= 1');
  await refused({ guidanceScale: NaN }, 'draw.guidanceScale: expected number, got NaN');
  await refused(
    { scheduler: 'DDIMSheduler' },
    'draw.scheduler: no scheduler "DDIMSheduler"; did you mean "DDIMScheduler"?',
  );
  await refused({ onStep: 3 }, 'draw.onStep: 3 is no function');
  await t.rejects(pipe.loadAdapter('nowhere'), { code: 'FILE_NOT_FOUND' });
  await t.rejects(pipe.loadAdapter(project.file('library')), { message: /library: no adapter; looked for/ });
  await t.rejects(pipe.loadAdapter(project.file('one'), { scale: '1' } as object), {
    message: 'loadAdapter.scale: expected number, got "1"',
  });
  t.ok(plain.equals((await pipe.draw(DRAW)).data));
  await t.rejects(loadPipeline(project.file('nowhere')), { code: 'FILE_NOT_FOUND' });
  await t.rejects(loadPipeline('owner'), { code: 'FILE_NOT_FOUND' });
  await t.rejects(loadPipeline(MODEL, { backend: { type: 'OnnxRuntimeBackend', devize: 'cpu' } }), {
    code: 'CONFIG_INVALID',
    message: 'backend.devize: unknown option; did you mean "device"?',
  });
  t.notOk(existsSync(project.file('nowhere')));
});

void t.test('a damaged file, and one that is not there, have codes of their own', async (t) => {
  const broken = project.copyModel('broken');
  writeFileSync(join(broken, 'unet/config.json'), '{');
  await t.rejects(loadPipeline(broken), { code: 'FILE_INVALID' });
  rmSync(join(broken, 'unet/config.json'));
  await t.rejects(loadPipeline(broken), { code: 'FILE_NOT_FOUND' });
});

void t.test('whatever writes weights says how far it is, once it takes longer than two seconds', async (t) => {
  let now = 0;
  t.intercept(performance, 'now', { value: () => (now += 3000) });
  const adapter = project.file('one'),
    teacher = project.file('teacher');
  const works = {
    makeModel: (more) => makeModel('tiny-random-teacher', { ...more, out: teacher }),
    compress: (more) => compress(teacher, { preset: 'tiny', ...more }),
    convert: (more) => convert(MODEL, more),
    mergeLora: (more) => mergeLora(MODEL, adapter, more),
    exportOnnx: (more) => exportOnnx(MODEL, more),
    kohya: (more) => exportLora(MODEL, adapter, { ...more, format: 'kohya' }),
    diffusers: (more) => exportLora(MODEL, adapter, { ...more, format: 'diffusers' }),
    peft: (more) => exportLora(MODEL, adapter, { ...more, format: 'peft' }),
  } satisfies Record<string, (more: { out: string; log: Logger }) => Promise<unknown>>;
  const told: Record<string, string[]> = {};
  for (const [name, work] of Object.entries(works)) {
    const counts = new Set<string>(),
      info = (line: string): void => void counts.add(/^([a-z_ ]+): \d+\/\d+/.exec(line)?.[1] ?? '');
    await work({ out: project.file(`out-${name}`), log: { ...console, info } });
    counts.delete('');
    told[name] = [...counts].sort();
  }
  const unet = ['tensors of unet'];
  t.strictSame(told, {
    makeModel: ['tensors of text_encoder', ...unet, 'tensors of vae'],
    compress: unet,
    convert: ['tensors of text_encoder', ...unet, 'tensors of vae'],
    mergeLora: unet,
    exportOnnx: ['weights'],
    kohya: ['tensors of the adapter'],
    diffusers: ['tensors of the adapter'],
    peft: unet,
  });
});
