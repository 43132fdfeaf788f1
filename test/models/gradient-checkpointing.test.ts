/** Gradients of values that are computed again: the same numbers on every engine, from less that is kept. */
import t from 'tap';
import type { Backend } from '../../src/backends/backend.js';
import { optimize } from '../../src/backends/optimize.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { TfjsBackend } from '../../src/backends/tfjs/tfjs-backend.js';
import { loadComponents } from '../../src/components.js';
import { programMemory } from '../../src/planning/memory.js';
import { type Model, MODELS } from '../../src/models/model.js';
import { Rng } from '../../src/base/rng.js';
import { createBuild } from '../../src/registry/container.js';
import { LOGGER } from '../../src/registry/tokens.js';
import { grad } from '../../src/tensor/autodiff.js';
import { float32, floats, sizeOf, type HostTensor } from '../../src/tensor/host.js';
import { substitute } from '../../src/tensor/passes/rewrite.js';
import { leafName, topo, weight, type Tensor } from '../../src/tensor/tensor.js';
import { verify } from '../../src/tensor/verify.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { evaluate, onnxRuntime, TINY, wave } from '../fixtures/networks/networks.js';

t.setTimeout(300_000);
await loadComponents();
const build = createBuild([[LOGGER, new Lines()]]);
const LORA = {
  unet_lora_config: {
    type: 'LoRA',
    r: 2,
    lora_alpha: 2,
    target_modules: ['to_q', 'to_k', 'to_v', 'to_out.0', 'conv1', 'time_emb_proj'],
  },
};
const feedsOf = (latent: number): Record<string, HostTensor> => ({
  noisy_latents: wave([1, 4, latent, latent]),
  target: wave([1, 4, latent, latent], 7),
  timesteps: float32([700], [1]),
  weights: float32([1], [1]),
  encoder_hidden_states: wave([1, 77, 32], 3),
});

interface Step {
  readonly outputs: Record<string, Tensor>;
  readonly names: readonly string[];
}

/** Loss and the gradient of every parameter, at start values that are not zero. */
async function stepOf(options: object, feeds: Record<string, HostTensor>): Promise<Step> {
  const model = build(MODELS, { type: 'StableDiffusion', model: TINY, ...options }) as Model;
  await model.load();
  const values = await model.initialValues(new Rng(0)),
    { loss } = model.loss(feeds);
  const leaves = topo([loss])
    .filter((n) => n.op === 'parameter')
    .map((n) => n.outs[0]);
  const bound = substitute([loss, ...grad(loss, leaves)], (leaf) => {
    if (leaf.node.op !== 'parameter') return undefined;
    const value = leafName(leaf).includes('lora_B') ? wave(leaf.shape, sizeOf(leaf.shape)) : values[leafName(leaf)];
    return weight({ key: leafName(leaf), value }, { dtype: 'float32', shape: value.shape });
  });
  const names = leaves.map(leafName);
  return {
    outputs: Object.fromEntries([['loss', bound[0]], ...names.map((n, i) => [n, bound[i + 1]] as const)]),
    names,
  };
}

/** Largest difference of a gradient, relative to the largest value of any: single ones may be nothing but rounding. */
async function difference(
  backend: Backend,
  kept: Step,
  again: Step,
  feeds: Record<string, HostTensor>,
): Promise<number> {
  const [a, b] = [await evaluate(backend, kept.outputs, feeds), await evaluate(backend, again.outputs, feeds)];
  let worst = 0,
    largest = 0;
  for (const name of ['loss', ...kept.names])
    floats(a[name]).forEach((v, i) => {
      worst = Math.max(worst, Math.abs(v - floats(b[name])[i]));
      largest = Math.max(largest, Math.abs(v));
    });
  return worst / largest;
}

const silent = { info: () => undefined, warn: () => undefined, debug: () => undefined };
const engines: Record<string, { backend: Backend; latent: number }> = {
  onnxruntime: { backend: onnxRuntime(t), latent: 16 },
  tfjs: { backend: new TfjsBackend({ device: 'cpu' }, silent), latent: 8 },
  reference: { backend: new ReferenceBackend({}), latent: 4 },
};

for (const [training, options] of Object.entries({ 'all of the U-Net': {}, LoRA: LORA }))
  for (const [engine, { backend, latent }] of Object.entries(engines)) {
    void t.test(`${engine}: training ${training}, gradients with checkpointing are those without`, async (t) => {
      const feeds = feedsOf(latent),
        [kept, again] = [
          await stepOf(options, feeds),
          await stepOf({ ...options, gradient_checkpointing: true }, feeds),
        ];
      verify({ outputs: again.outputs });
      t.ok(kept.names.length > 20);
      t.strictSame(again.names, kept.names);
      const worst = await difference(backend, kept, again, feeds);
      t.ok(worst < 1e-6, `differ by ${worst} of the largest`);
    });
  }

void t.test(
  'with checkpointing, a step keeps a third less in the order of ONNX Runtime, and no pass makes one of a value and its copy',
  async (t) => {
    const feeds = feedsOf(32);
    const planned = async (options: object): Promise<{ live: number; convolutions: number }> => {
      const program = optimize({ name: 'step', outputs: (await stepOf(options, feeds)).outputs });
      return {
        live: programMemory(program).live,
        convolutions: topo(Object.values(program.outputs)).filter((n) => n.op === 'conv2d').length,
      };
    };
    const [kept, again] = [await planned(LORA), await planned({ ...LORA, gradient_checkpointing: true })];
    t.ok(again.live < 0.7 * kept.live, `${again.live} and ${kept.live} bytes`);
    t.ok(again.convolutions > 1.4 * kept.convolutions, `${again.convolutions} and ${kept.convolutions} convolutions`);
  },
);

void t.test('a student is distilled with checkpointing to the same gradients', async (t) => {
  const feeds = feedsOf(8);
  const model = async (checkpointing: boolean): Promise<Tensor[]> => {
    const student = build(MODELS, {
      type: 'DistillSD',
      model: TINY,
      student: TINY,
      gradient_checkpointing: checkpointing,
    }) as Model;
    await student.load();
    const values = await student.initialValues(new Rng(0)),
      { loss } = student.loss(feeds);
    const leaves = topo([loss])
      .filter((n) => n.op === 'parameter')
      .map((n) => n.outs[0]);
    return substitute(grad(loss, leaves), (leaf) =>
      leaf.node.op === 'parameter'
        ? weight({ key: leafName(leaf), value: mapped(values[leafName(leaf)]) }, leaf)
        : undefined,
    );
  };
  const step = (outs: Tensor[]): Step => ({
    outputs: Object.fromEntries(outs.map((o, i) => [i === 0 ? 'loss' : String(i), o])),
    names: outs.slice(1).map((_, i) => String(i + 1)),
  });
  const worst = await difference(
    engines['onnxruntime'].backend,
    step(await model(false)),
    step(await model(true)),
    feeds,
  );
  t.ok(worst < 1e-6, `differ by ${worst} of the largest`);
});

/** Away from the teacher, so that there is something to learn from it. */
const mapped = (value: HostTensor): HostTensor =>
  float32(
    floats(value).map((v) => v * 1.1),
    value.shape,
  );
