/** Training of the picture autoencoder: its loss by hand, its gradient, a run, and what it writes. */
import { join } from 'node:path';
import t from 'tap';
import { loadComponents } from '../../src/components.js';
import type { AutoencoderKL } from '../../src/models/autoencoder-kl.js';
import { openPipeline } from '../../src/formats/pipeline/pipeline-folder.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { readJson } from '../../src/formats/read-json.js';
import { LAYOUTS, writeRandomModel } from '../../src/models/random-model.js';
import { Scope } from '../../src/networks/layers/scope.js';
import { vaeDecode, vaeEncode } from '../../src/networks/vae.js';
import { Rng } from '../../src/base/rng.js';
import { createBuild } from '../../src/registry/container.js';
import { MODELS } from '../../src/models/model.js';
import { LOGGER } from '../../src/registry/tokens.js';
import { float32, floats, sizeOf, type HostTensor } from '../../src/tensor/host.js';
import { input } from '../../src/tensor/tensor.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { evaluate, onnxRuntime } from '../fixtures/networks/networks.js';
import { trainable, type Ready } from '../fixtures/models/training.js';

t.setTimeout(120_000);
await loadComponents();
const backend = onnxRuntime(t),
  folder = join(t.testdir(), 'start');
await writeRandomModel(folder, LAYOUTS['tiny-random'], { dtype: 'float32', seed: 2 });
const build = createBuild([[LOGGER, new Lines()]]);

const ready = (options: object, lr = 1e-3): Promise<Ready<AutoencoderKL>> =>
  trainable(build(MODELS, { type: 'AutoencoderKL', model: folder, ...options }) as AutoencoderKL, backend, lr);

/** Two pictures of 32 px: a gradient, and a square. */
const pictures = [0, 1].map((kind) => ({
  text: '',
  img: float32(
    Float32Array.from({ length: 3 * 32 * 32 }, (_, i) => {
      const x = i % 32,
        y = Math.floor(i / 32) % 32;
      return kind === 0 ? x / 16 - 1 : Number(x > 8 && x < 24 && y > 8 && y < 24) * 1.5 - 0.75;
    }),
    [3, 32, 32],
  ),
}));
const context = (iteration = 0): { iteration: number; rng: Rng } => ({ iteration, rng: new Rng(3) });

void t.test(
  'the loss is the mean absolute error, that of the edges, and the divergence from a unit normal',
  async (t) => {
    const { model, step } = await ready({ edge_weight: 0.25, kl_weight: 0.01 }, 0);
    const feeds = await model.feeds(pictures, context());
    const { loss, kl, psnr } = await step.run(feeds, { iteration: 0, lr: 0 });
    const { vae, vaeConfig } = await openPipeline(folder),
      scope = new Scope(vae);
    const moments = await evaluate(
      backend,
      { ...vaeEncode(scope, input('images', [2, 3, 32, 32]), vaeConfig) },
      { images: feeds['images'] },
    );
    const mean = floats(moments['mean']),
      logvar = floats(moments['logvar']),
      noise = floats(feeds['noise']);
    const latents = float32(
      mean.map((m, i) => m + Math.exp(logvar[i] / 2) * noise[i]),
      feeds['noise'].shape,
    );
    const { picture } = await evaluate(
      backend,
      { picture: vaeDecode(scope, input('latents', latents.shape), vaeConfig) },
      { latents },
    );
    const error = Array.from(floats(picture), (v, i) => v - floats(feeds['images'])[i]);
    const average = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    const across = error.flatMap((e, i) => (i % 32 > 0 ? [Math.abs(e - error[i - 1])] : []));
    const down = error.flatMap((e, i) => (Math.floor(i / 32) % 32 > 0 ? [Math.abs(e - error[i - 32])] : []));
    const divergence =
      Array.from(mean, (m, i) => 0.5 * (m * m + Math.exp(logvar[i]) - 1 - logvar[i])).reduce((a, b) => a + b, 0) / 2;
    const expected = average(error.map(Math.abs)) + 0.25 * (average(across) + average(down)) + 0.01 * divergence;
    t.ok(Math.abs(loss / expected - 1) < 1e-5, `${loss} against ${expected}`);
    t.ok(Math.abs(kl / divergence - 1) < 1e-5, `${kl} against ${divergence}`);
    const decibels = 10 * Math.log10(4 / average(error.map((e) => e * e)));
    t.ok(Math.abs(psnr - decibels) < 1e-3, `${psnr} against ${decibels} dB`);
  },
);

void t.test('it learns two pictures, and the saved pipeline part has latents of deviation 1', async (t) => {
  const { model, step, parameters } = await ready({ init: 'random' }, 3e-3);
  const psnr: number[] = [];
  for (let i = 0; i < 120; i++)
    psnr.push((await step.run(await model.feeds(pictures, context(i)), { iteration: i, lr: 3e-3 }))['psnr']);
  t.ok(psnr[119] > 20 && psnr[119] > psnr[0] + 8, `from ${psnr[0]} to ${psnr[119]} dB`);
  const out = t.testdir();
  await model.save(out, await parameters.read(backend.states, 'params'));
  const scaling = (await readJson(join(out, 'vae', 'config.json'), ''))['scaling_factor'] as number;
  const pipeline = join(out, 'pipeline');
  await writeRandomModel(pipeline, LAYOUTS['tiny-random'], { dtype: 'float32', seed: 0, vae: out });
  const { vae, vaeConfig } = await openPipeline(pipeline);
  t.equal(vaeConfig.scalingFactor, scaling);
  const images = (await model.feeds(pictures, context()))['images'];
  const { mean } = await evaluate(
    backend,
    { mean: vaeEncode(new Scope(vae), input('images', images.shape), vaeConfig).mean },
    { images },
  );
  const values = Array.from(floats(mean), (v) => v * scaling),
    centre = values.reduce((a, b) => a + b, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((a, v) => a + (v - centre) ** 2, 0) / values.length);
  t.ok(Math.abs(deviation - 1) < 1e-4, `deviation ${deviation}`);
});

void t.test(
  'train_encoder: false: the decoder learns, the encoder and the scaling factor keep their bits',
  async (t) => {
    const { model, step, parameters } = await ready({ train_encoder: false, edge_weight: 0 }, 3e-3);
    const { vae: before, vaeConfig } = await openPipeline(folder);
    const names = [...before.weights.entries.keys()],
      fixed = names.filter((name) => /^(encoder|quant_conv)\./.test(name));
    t.strictSame(
      [...model.parameters().keys()].sort(),
      names
        .filter((name) => !fixed.includes(name))
        .map((name) => `vae.${name}`)
        .sort(),
    );
    const values = [...before.weights.entries.values()].reduce((n, { shape }) => n + sizeOf(shape), 0);
    t.ok(model.counts.frozen > 0);
    t.equal(model.counts.frozen + model.counts.trainable, values);
    const loss: number[] = [];
    for (let i = 0; i < 40; i++)
      loss.push((await step.run(await model.feeds(pictures, context(i)), { iteration: i, lr: 3e-3 }))['loss']);
    t.ok(loss[39] < 0.8 * loss[0], `from ${loss[0]} to ${loss[39]}`);
    const out = t.testdir();
    await model.save(out, await parameters.read(backend.states, 'params'));
    const after = await openSafetensors(join(out, 'vae', 'diffusion_pytorch_model.safetensors'));
    const same = (name: string): Promise<boolean> =>
      Promise.all([after.readFloat32(name), before.weights.readFloat32(name)]).then(
        ([now, then]) => Buffer.compare(Buffer.from(floats(now).buffer), Buffer.from(floats(then).buffer)) === 0,
      );
    const kept = await Promise.all(names.map(async (name) => ((await same(name)) ? [name] : [])));
    t.strictSame(kept.flat().sort(), fixed.sort());
    t.equal(
      (await readJson(join(out, 'vae', 'config.json'), ''))['scaling_factor'] as number,
      vaeConfig.scalingFactor,
      'measured only where the latents may change',
    );
    const { model: asked } = await ready({ train_encoder: false, scaling_factor: 'measure' });
    await asked.feeds(pictures, context());
    await asked.save(out, {});
    t.not(
      (await readJson(join(out, 'vae', 'config.json'), ''))['scaling_factor'],
      vaeConfig.scalingFactor,
      'who asks for it has it measured',
    );
    t.throws(() => build(MODELS, { type: 'AutoencoderKL', model: folder, init: 'random', train_encoder: false }), {
      name: 'UserError',
      message: /^model\.train_encoder: false, and model\.init: "random" begins with .* set model\.init to "copy"$/,
    });
  },
);
void t.test('what it cannot do is said: odd sizes, drawing from prompts, a folder without vae/', async (t) => {
  const { model } = await ready({});
  const odd: HostTensor = float32(new Float32Array(3 * 30 * 32), [3, 30, 32]);
  await t.rejects(model.feeds([{ img: odd, text: '' }], context()), {
    name: 'UserError',
    message:
      "model: pictures are 32x30 pixels; this autoencoder takes multiples of 8, change the Resize of the dataset's pipeline",
  });
  await t.rejects(model.sample().next(), {
    name: 'UserError',
    message: /^model: an autoencoder draws nothing from a prompt; remove the VisualizationHook/,
  });
  const missing = build(MODELS, { type: 'AutoencoderKL', model: t.testdir() });
  await t.rejects(missing.load(), {
    name: 'UserError',
    message: /vae\/config\.json: missing; every component has one$/,
  });
});
