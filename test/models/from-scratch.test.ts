/** What training from scratch needs of the main model: an untrained start, texts that are left out, and parts from other runs. */
import { join } from 'node:path';
import t from 'tap';
import { Executor } from '../../src/backends/executor.js';
import { loadComponents } from '../../src/components.js';
import { LAYOUTS, writeRandomModel } from '../../src/models/random-model.js';
import type { StableDiffusion } from '../../src/models/stable-diffusion.js';
import { openPipeline } from '../../src/formats/pipeline/pipeline-folder.js';
import { Rng } from '../../src/base/rng.js';
import { createBuild } from '../../src/registry/container.js';
import { MODELS } from '../../src/models/model.js';
import { LOGGER } from '../../src/registry/tokens.js';
import { float32, floats, sizeOf } from '../../src/tensor/host.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { onnxRuntime } from '../fixtures/networks/networks.js';

await loadComponents();
const backend = onnxRuntime(t),
  folder = join(t.testdir(), 'start');
await writeRandomModel(folder, LAYOUTS['tiny-random'], { dtype: 'float32', seed: 2, words: ['red', 'dog'] });
const build = createBuild([[LOGGER, new Lines()]]);

async function opened(options: object): Promise<StableDiffusion> {
  const model = build(MODELS, {
    type: 'StableDiffusion',
    model: folder,
    unet_lora_config: null,
    ...options,
  }) as StableDiffusion;
  await model.load();
  model.executor = new Executor(backend, (outputs) => [...outputs]);
  return model;
}

void t.test('init random starts as torch does: weights within 1 / sqrt(fan in), norms at 1 and 0', async (t) => {
  const values = await (await opened({ init: 'random' })).initialValues(new Rng(1));
  const weight = floats(values['unet.conv_in.weight']),
    bound = 1 / Math.sqrt(4 * 9); // 4 channels, 3x3
  t.equal(weight.length, 16 * 4 * 9);
  const largest = weight.reduce((a, v) => Math.max(a, Math.abs(v)), 0),
    deviation = Math.sqrt(weight.reduce((a, v) => a + v * v, 0) / weight.length);
  t.ok(largest <= bound && largest > 0.98 * bound, `within ${bound}, to ${largest}`);
  t.ok(Math.abs(deviation / (bound / Math.sqrt(3)) - 1) < 0.06, `a uniform's deviation: ${deviation}`);
  t.strictSame([...floats(values['unet.conv_norm_out.weight'])], Array(16).fill(1));
  t.strictSame([...floats(values['unet.conv_norm_out.bias'])], Array(16).fill(0));
  const copied = await (await opened({})).initialValues(new Rng(1)),
    { unet } = await openPipeline(folder);
  t.strictSame(
    floats(copied['unet.conv_in.weight']),
    floats(await unet.weights.readFloat32('conv_in.weight')),
    'init copy starts with what the folder holds',
  );
});

void t.test('init random with LoRA is refused: the untrained network would stay untrained', (t) => {
  t.throws(
    () =>
      build(MODELS, {
        type: 'StableDiffusion',
        model: folder,
        init: 'random',
        unet_lora_config: { type: 'LoRA', r: 4 },
      }),
    {
      name: 'UserError',
      message:
        'model.init: random starts an untrained U-Net, which unet_lora_config keeps frozen; set unet_lora_config: null, or init: copy',
    },
  );
  t.end();
});

void t.test('caption_dropout replaces that share of the texts by the empty one, and nothing else', async (t) => {
  const samples = Array.from({ length: 50 }, () => ({
    text: 'red dog',
    img: float32(new Float32Array(3 * 64 * 64), [3, 64, 64]),
  }));
  const step = (iteration: number): { iteration: number; rng: Rng } => ({ iteration, rng: new Rng(5) });
  const plain = await (await opened({})).feeds(samples, step(0)),
    all = await (await opened({ caption_dropout: 1 })).feeds(samples, step(0));
  const row = (states: Float32Array, i: number): string => states.subarray(i * size, (i + 1) * size).join();
  const size = sizeOf(plain['encoder_hidden_states'].shape) / 50;
  const full = row(floats(plain['encoder_hidden_states']), 0),
    empty = row(floats(all['encoder_hidden_states']), 0);
  t.not(full, empty);
  const model = await opened({ caption_dropout: 0.2 });
  let dropped = 0;
  for (let i = 0; i < 10; i++) {
    const feeds = await model.feeds(samples, step(i)),
      states = floats(feeds['encoder_hidden_states']);
    const kinds = samples.map((_, k) => [full, empty].indexOf(row(states, k)));
    t.notOk(kinds.includes(-1), 'each row is one or the other');
    dropped += kinds.reduce((n, kind) => n + kind, 0);
    if (i === 0)
      t.strictSame(
        floats(feeds['noisy_latents']),
        floats(plain['noisy_latents']),
        'the noise is the same with and without',
      );
  }
  t.ok(dropped > 70 && dropped < 130, `${dropped} of 500`); // 100 ± 3.4 deviations
});

void t.test('given words become single tokens', async (t) => {
  const { tokenizer } = await openPipeline(folder);
  t.equal(tokenizer.encode('red dog').ids.indexOf(tokenizer.encode('').ids[1]), 3, 'start, red, dog, end');
  t.ok(tokenizer.encode('green dog').ids.indexOf(tokenizer.encode('').ids[1]) > 3, 'others are spelled');
});
