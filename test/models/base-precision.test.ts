/** Frozen weights in 8 bits: how they are packed, and what a run makes of them. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { loadComponents } from '../../src/components.js';
import { UserError } from '../../src/base/errors.js';
import { type Model, MODELS } from '../../src/models/model.js';
import { openPipeline } from '../../src/formats/pipeline/pipeline-folder.js';
import { QuantizedSource } from '../../src/formats/quantized-source.js';
import { quantizeRows } from '../../src/tensor/quantize-rows.js';
import { Rng } from '../../src/base/rng.js';
import { createBuild } from '../../src/registry/container.js';
import { LOGGER } from '../../src/registry/tokens.js';
import { grad } from '../../src/tensor/autodiff.js';
import { float32, floats, type HostTensor } from '../../src/tensor/host.js';
import { add, dequantize, gemm, mul, sum } from '../../src/tensor/ops.js';
import { substitute } from '../../src/tensor/passes/rewrite.js';
import { input, leafName, topo, weight, type Tensor } from '../../src/tensor/tensor.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { evaluate, onnxRuntime, TINY, valueOf, wave } from '../fixtures/networks/networks.js';

t.setTimeout(300_000);
await loadComponents();
const log = new Lines(),
  build = createBuild([[LOGGER, log]]),
  backend = onnxRuntime(t);
const cache = (process.env['DIFFENGINE_CACHE'] = t.testdir());
const LORA = { type: 'LoRA', r: 2, lora_alpha: 2, target_modules: ['to_q', 'to_v', 'conv1'] };
const FEEDS: Record<string, HostTensor> = {
  noisy_latents: wave([1, 4, 8, 8]),
  target: wave([1, 4, 8, 8], 7),
  timesteps: float32([700], [1]),
  weights: float32([1], [1]),
  encoder_hidden_states: wave([1, 77, 32], 3),
};

void t.test('each row has its own scale: its value furthest from zero is 127 steps from the zero point', async (t) => {
  const { q, scales } = quantizeRows(float32([0.5, -1.27, 0.004, 20, 0, 254, 0, 0, 0], [3, 3]));
  t.strictSame([...q.data], [178, 1, 128, 138, 128, 255, 128, 128, 128]);
  t.strictSame([...floats(scales)], [Math.fround(Math.fround(1.27) / 127), 2, 0]);
  const back = await valueOf(
    dequantize(weight({ key: 'q', value: q }, q), weight({ key: 's', value: scales }, scales)),
  );
  t.same(
    back.map((v) => Math.round(v * 1000) / 1000),
    [0.5, -1.27, 0, 20, 0, 254, 0, 0, 0],
  );
});

void t.test('the gradient unpacks a weight for itself, and not before the gradient that it multiplies', async (t) => {
  const { q, scales } = quantizeRows(float32([1, -2, 3, 4], [2, 2])),
    x = input('x', [1, 2]);
  const W = dequantize(weight({ key: 'q', value: q }, q), weight({ key: 's', value: scales }, scales));
  const [dX] = grad(sum(mul(gemm(x, W, undefined, false, true), 3)), [x]);
  const unpacked = topo([dX]).filter((n) => n.op === 'dequantize');
  t.equal(unpacked.length, 1);
  t.equal(unpacked[0].inputs[0].node.op, 'after');
  const results = await evaluate(new ReferenceBackend({}), { dX: add(dX, 0) }, { x: float32([1, 1], [1, 2]) });
  t.same(
    [...floats(results['dX'])].map((v) => Math.round(v * 10) / 10),
    [12, 6],
  ); // 3 (1 + 3) and 3 (-2 + 4), in steps of 2/127 and 4/127
});

/** Loss and gradients of a LoRA step on the tiny model. */
async function step(options: object): Promise<Record<string, Tensor>> {
  const model = build(MODELS, { type: 'StableDiffusion', model: TINY, unet_lora_config: LORA, ...options }) as Model;
  await model.load();
  const values = await model.initialValues(new Rng(0)),
    { loss } = model.loss(FEEDS);
  const leaves = topo([loss])
    .filter((n) => n.op === 'parameter')
    .map((n) => n.outs[0]);
  const bound = substitute([loss, ...grad(loss, leaves)], (leaf) =>
    leaf.node.op === 'parameter' ? weight({ key: leafName(leaf), value: values[leafName(leaf)] }, leaf) : undefined,
  );
  return Object.fromEntries(bound.map((b, i) => [i === 0 ? 'loss' : leafName(leaves[i - 1]), b]));
}

void t.test(
  'a step with 8-bit weights is close to one with the stored weights, the same on the reference engine and with checkpointing',
  async (t) => {
    const stored = await evaluate(backend, await step({}), FEEDS),
      packed = await evaluate(backend, await step({ base_precision: 'int8' }), FEEDS);
    const [a, b] = [floats(stored['loss'])[0], floats(packed['loss'])[0]];
    t.ok(a !== b && Math.abs(a - b) < 0.01 * a, `losses ${a} and ${b}`);
    for (const [name, other] of [
      ['reference', await evaluate(new ReferenceBackend({}), await step({ base_precision: 'int8' }), FEEDS)],
      [
        'checkpointing',
        await evaluate(backend, await step({ base_precision: 'int8', gradient_checkpointing: true }), FEEDS),
      ],
    ] as const) {
      let worst = 0,
        largest = 0;
      for (const key of Object.keys(packed))
        floats(packed[key]).forEach((v, i) => {
          worst = Math.max(worst, Math.abs(v - floats(other[key])[i]));
          largest = Math.max(largest, Math.abs(v));
        });
      t.ok(worst < 1e-5 * largest, `${name}: differ by ${worst / largest} of the largest`);
    }
  },
);

void t.test(
  'weights are packed once, into a file that every later run opens; norms, biases, first and last convolution stay as they are',
  async (t) => {
    const { unet } = await openPipeline(TINY),
      before = log.lines.length;
    const [file] = await readdir(join(cache, 'int8')),
      path = join(cache, 'int8', file),
      written = (await stat(path)).mtimeMs;
    const source = await QuantizedSource.of(unet, log);
    t.equal(log.lines.length, before);
    t.equal((await stat(path)).mtimeMs, written);
    t.equal((await readdir(join(cache, 'int8'))).length, 1);
    const opOf = (name: string): string => source.get(name, unet.weights.entries.get(name)?.shape ?? []).node.op;
    t.equal(opOf('down_blocks.0.resnets.0.conv1.weight'), 'dequantize');
    for (const name of [
      'conv_in.weight',
      'conv_out.weight',
      'down_blocks.0.resnets.0.conv1.bias',
      'conv_norm_out.weight',
    ])
      t.not(opOf(name), 'dequantize', name);
  },
);

void t.test('training all of the U-Net on 8-bit weights is refused', (t) => {
  t.throws(
    () => build(MODELS, { type: 'StableDiffusion', model: TINY, base_precision: 'int8' }),
    new UserError(
      'model.base_precision: int8 is for weights that stay frozen, and all of the U-Net is trained; give unet_lora_config, or leave base_precision out',
    ),
  );
  t.end();
});
