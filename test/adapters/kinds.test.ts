import { join } from 'node:path';
import t, { type Test } from 'tap';
import { exportAdapter } from '../../src/adapters/export.js';
import { loadAdapter } from '../../src/adapters/load-adapter.js';
import type { ModuleAdapter, PartTensors } from '../../src/adapters/adapter-kind.js';
import { mergedWeight } from '../../src/adapters/merged-weight.js';
import { adaptedSource, NetworkAdapter, type AdapterValues } from '../../src/adapters/network-adapter.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { Rng } from '../../src/base/rng.js';
import { factorization } from '../../src/adapters/lokr.js';
import { nearestDivisor } from '../../src/adapters/oft.js';
import { writeSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { conv2d } from '../../src/networks/layers/conv.js';
import { linear, pixelsToTokens } from '../../src/networks/layers/linear.js';
import { Scope, type ParamSource } from '../../src/networks/layers/scope.js';
import { grad } from '../../src/tensor/autodiff.js';
import { float32, floats, sizeOf, type HostTensor, type Shape } from '../../src/tensor/host.js';
import { dequantize, mul, sum } from '../../src/tensor/ops.js';
import { constant, input, type Tensor } from '../../src/tensor/tensor.js';
import { buildKind } from './build-kind.js';

/** Every kind in every form that changes its parameters or its rule. */
const KINDS: readonly (readonly [string, string, Record<string, unknown>])[] = [
  ['LoRA', 'LoRA', { r: 2, lora_alpha: 3 }],
  ['rsLoRA', 'LoRA', { r: 2, lora_alpha: 3, use_rslora: true }],
  ['DoRA', 'LoRA', { r: 2, lora_alpha: 3, use_dora: true }],
  ['PiSSA', 'LoRA', { r: 2, lora_alpha: 3, init_lora_weights: 'pissa' }],
  ['PiSSA with DoRA', 'LoRA', { r: 2, lora_alpha: 3, init_lora_weights: 'pissa', use_dora: true }],
  ['OLoRA', 'LoRA', { r: 2, lora_alpha: 3, init_lora_weights: 'olora' }],
  ['LoHa', 'LoHa', { r: 2, alpha: 3 }],
  ['LoHa, effective', 'LoHa', { r: 2, alpha: 3, use_effective_conv2d: true }],
  ['LoKr', 'LoKr', { r: 1, alpha: 3 }],
  ['LoKr, whole', 'LoKr', { r: 8, alpha: 3 }],
  ['LoKr, both', 'LoKr', { r: 1, alpha: 3, decompose_both: true, decompose_factor: 2 }],
  ['LoKr, effective', 'LoKr', { r: 1, alpha: 3, use_effective_conv2d: true }],
  ['OFT', 'OFT', { oft_block_size: 4 }],
  ['OFT, exact', 'OFT', { oft_block_size: 4, use_cayley_neumann: false }],
  ['OFT, shared', 'OFT', { oft_block_size: 4, block_share: true }],
  ['OFT by number of blocks', 'OFT', { oft_block_size: 0, r: 3 }],
];

/** What a layer of each sort answers; 12 = 3 x 4 inputs, 20 = 4 x 5 outputs. */
const LAYERS: readonly { name: string; shape: Shape; x: Shape; run: (scope: Scope, x: Tensor) => Tensor }[] = [
  { name: 'linear', shape: [20, 12], x: [2, 3, 12], run: (s, x) => linear(s, x, 20) },
  { name: 'linear without bias', shape: [20, 12], x: [5, 12], run: (s, x) => linear(s, x, 20, { bias: false }) },
  { name: 'conv 3x3', shape: [20, 12, 3, 3], x: [2, 12, 4, 3], run: (s, x) => conv2d(s, x, 20) },
  {
    name: 'conv 3x3, stride 2',
    shape: [20, 12, 3, 3],
    x: [1, 12, 4, 4],
    run: (s, x) => conv2d(s, x, 20, { stride: 2 }),
  },
  { name: 'conv 1x1', shape: [20, 12, 1, 1], x: [1, 12, 2, 3], run: (s, x) => conv2d(s, x, 20, { kernel: 1 }) },
  { name: 'pixels to tokens', shape: [20, 12, 1, 1], x: [1, 12, 2, 3], run: (s, x) => pixelsToTokens(s, x, 20, false) },
];

const backend = new ReferenceBackend({});
const values = (name: string, shape: Shape, size = 1): HostTensor =>
  float32(
    new Rng(5)
      .stream(name)
      .normals(sizeOf(shape))
      .map((v) => v * size),
    shape,
  );
const run = async (outputs: Record<string, Tensor>, feeds: Record<string, HostTensor>) =>
  (await backend.compile({ name: 'kinds', outputs })).run(feeds);
const worst = (a: HostTensor, b: HostTensor): number => {
  const [x, y] = [floats(a), floats(b)];
  const top = y.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-6);
  return y.reduce((m, v, i) => Math.max(m, Math.abs(v - x[i])), 0) / top;
};

interface Trained {
  readonly adapter: NetworkAdapter;
  /** by parameter name, as if trained: not the start */
  readonly trained: Record<string, HostTensor>;
  readonly start: Record<string, HostTensor>;
  readonly weight: HostTensor;
  readonly bias: HostTensor;
}

async function trained(type: string, options: Record<string, unknown>, shape: Shape): Promise<Trained> {
  const weight = values('weight', shape, 0.5);
  const shapes = new Map<string, Shape>([['m.weight', shape]]);
  const adapter = new NetworkAdapter(buildKind(type, { ...options, target_modules: ['m'] }), 'unet', shapes, 'lora');
  const read = async (): Promise<HostTensor> => weight;
  await adapter.prepare(read);
  const start = await adapter.start(new Rng(1), read);
  const moved = Object.entries(start).map(([name, value]) => {
    const step = values(`step ${name}`, value.shape, 0.5);
    return [
      name,
      float32(
        floats(value).map((v, i) => v + floats(step)[i]),
        value.shape,
      ),
    ];
  });
  return { adapter, start, trained: Object.fromEntries(moved), weight, bias: values('bias', [shape[0]]) };
}

/** Frozen parameters as inputs of a program. */
const frozen: ParamSource = { get: (name, shape) => input(name.replace(/^m\./, ''), shape) };
const scopeOf = (source: ParamSource): Scope => new Scope(source, 'm');

for (const [name, type, options] of KINDS)
  void t.test(
    `${name}: every layer answers as its merged weight does, starts unchanged and has the right gradient`,
    async (t) => {
      for (const layer of LAYERS) {
        const { adapter, start, trained: moved, weight, bias } = await trained(type, options, layer.shape);
        const x = input('x', layer.x);
        const feeds = { x: values('x', layer.x), weight, bias };
        const leaves = new Map<string, Tensor>();
        const fed = (name: string, shape: Shape): Tensor => {
          leaves.set(name, input(name, shape));
          return leaves.get(name) as Tensor;
        };
        const adapted = layer.run(scopeOf(adapter.source(frozen, fed)), x);
        const plain = await run({ y: layer.run(scopeOf(frozen), x) }, feeds);
        const atStart = await run({ y: adapted }, { ...feeds, ...start });
        t.ok(worst(atStart['y'], plain['y']) < 1e-6, `${layer.name}: starts as the frozen layer`);

        // As training computes it, as sampling applies it, and as the merged weight has it.
        const [[, module]] = adapter.trained(moved);
        const applied: AdapterValues = new Map([['m', module]]);
        const merged = mergedWeight(weight, module);
        const now = await run({ y: adapted }, { ...feeds, ...moved });
        t.ok(worst(now['y'], plain['y']) > 1e-2, `${layer.name}: changes the answer`);
        const asMerged = await run({ y: layer.run(scopeOf(frozen), x) }, { ...feeds, weight: merged });
        t.ok(worst(now['y'], asMerged['y']) < 2e-6, `${layer.name}: merged ${worst(now['y'], asMerged['y'])}`);
        const asApplied = await run({ y: layer.run(scopeOf(adaptedSource(frozen, applied)), x) }, feeds);
        t.ok(worst(asApplied['y'], now['y']) < 2e-6, `${layer.name}: applied`);
        const off = await run({ y: layer.run(scopeOf(adaptedSource(frozen, applied, 0)), x) }, feeds);
        t.ok(worst(off['y'], plain['y']) < 1e-6, `${layer.name}: strength 0 is the frozen layer`);
        t.ok(worst(mergedWeight(weight, module, 0), weight) < 1e-6, `${layer.name}: merged with strength 0`);

        if (layer.name === 'linear' || layer.name === 'conv 3x3') {
          // DoRA takes the lengths of rows for constants in the gradient of its pair.
          const checked = [...leaves].filter(([key]) => !options['use_dora'] || key.endsWith('magnitude_vector'));
          await checkGradient(t, adapted, { ...feeds, ...moved }, new Map(checked));
        }
      }
    },
  );

const H = 2e-3; // losses come back as float32: smaller steps would measure its rounding
/** Of sum(y * c) by central differences in float64 along one random direction per parameter. */
async function checkGradient(
  t: Test,
  y: Tensor,
  feeds: Record<string, HostTensor>,
  leaves: ReadonlyMap<string, Tensor>,
): Promise<void> {
  const loss = sum(mul(y, constant(values('cotangent', y.shape))));
  const gradients = grad(loss, [...leaves.values()]);
  const outputs = Object.fromEntries([...leaves.keys()].map((name, i) => [name, gradients[i]]));
  const found = await run(outputs, feeds);
  const program = await backend.compile({ name: 'loss', outputs: { loss } });
  for (const name of leaves.keys()) {
    const direction = values(`direction ${name}`, feeds[name].shape);
    const shifted = (by: number): HostTensor =>
      float32(
        floats(feeds[name]).map((v, i) => v + by * floats(direction)[i]),
        direction.shape,
      );
    const along = floats(found[name]).reduce((s, v, i) => s + v * floats(direction)[i], 0);
    const [up, down] = [H, -H].map(shifted);
    const [a, b] = [await program.run({ ...feeds, [name]: up }), await program.run({ ...feeds, [name]: down })];
    const numeric = (floats(a['loss'])[0] - floats(b['loss'])[0]) / (2 * H);
    const error = Math.abs(numeric - along) / Math.max(1, Math.abs(along));
    t.ok(error < 5e-3, `${name}: ${along} by rule, ${numeric} by difference`);
  }
}

void t.test('a weight in 8 bits is adapted as its unpacked values are', async (t) => {
  const q: HostTensor = {
    dtype: 'uint8',
    shape: [20, 12],
    data: Uint8Array.from({ length: 240 }, (_, i) => (i * 37) % 256),
  };
  const scales = float32(
    Float32Array.from({ length: 20 }, (_, i) => 0.01 + 0.001 * i),
    [20],
  );
  const packed: ParamSource = {
    get: (name, shape) =>
      name === 'm.weight' ? dequantize(constant(q), constant(scales)) : input(name.replace(/^m\./, ''), shape),
  };
  const unpacked = float32(
    Float32Array.from(q.data as Uint8Array, (v, i) => (v - 128) * floats(scales)[Math.floor(i / 12)]),
    [20, 12],
  );
  for (const [name, type, options] of KINDS) {
    const { adapter, trained: moved, bias } = await trained(type, options, [20, 12]);
    const x = input('x', [5, 12]);
    const applied: AdapterValues = new Map(adapter.trained(moved));
    const feeds = { x: values('x', [5, 12]), bias };
    const of = (source: ParamSource): Tensor => linear(scopeOf(adaptedSource(source, applied)), x, 20);
    const { int8, plain } = await run({ int8: of(packed), plain: of(frozen) }, { ...feeds, weight: unpacked });
    t.ok(worst(int8, plain) < 2e-6, `${name}: ${worst(int8, plain)}`);
  }
});

void t.test('two adapters on one module add up, in either order', async (t) => {
  const shape: Shape = [20, 12];
  const lora = await trained('LoRA', { r: 2 }, shape);
  const loha = await trained('LoHa', { r: 2 }, shape);
  const x = input('x', [5, 12]);
  const [first, second] = [lora, loha].map(({ adapter, trained: moved }) => adapter.trained(moved));
  const of = (source: ParamSource): Tensor => linear(scopeOf(source), x, 20);
  const both = await run(
    {
      plain: of(frozen),
      a: of(adaptedSource(frozen, first, 0.5)),
      b: of(adaptedSource(frozen, second)),
      ab: of(adaptedSource(adaptedSource(frozen, first, 0.5), second)),
      ba: of(adaptedSource(adaptedSource(frozen, second), first, 0.5)),
    },
    { x: values('x', [5, 12]), weight: lora.weight, bias: lora.bias },
  );
  const [plain, a, b] = [both['plain'], both['a'], both['b']].map(floats);
  const sums = float32(
    plain.map((v, i) => a[i] + b[i] - v),
    [5, 20],
  );
  t.ok(worst(both['ab'], sums) < 2e-6);
  t.ok(worst(both['ba'], sums) < 2e-6);
});

/** A network of one linear layer and two convolutions, in a pipeline of which the rest is missing. */
const network = new Map<string, Shape>([
  ['to_q.weight', [20, 12]],
  ['conv1.weight', [12, 20, 3, 3]],
  ['proj_in.weight', [20, 20, 1, 1]],
]);
const parameters = { unet: network, text_encoder: new Map<string, Shape>() };
const record = { model: 'base', fingerprint: 'f00d' };

/** As if trained, of all modules. */
async function adapterOf(type: string, options: Record<string, unknown>): Promise<AdapterValues> {
  const targets = ['to_q', 'conv1', 'proj_in'];
  const adapter = new NetworkAdapter(buildKind(type, { ...options, target_modules: targets }), 'unet', network, 'lora');
  const read = async (module: string): Promise<HostTensor> =>
    values(module, network.get(`${module}.weight`) as Shape, 0.5);
  await adapter.prepare(read);
  const start = await adapter.start(new Rng(1), read);
  return adapter.trained(
    Object.fromEntries(Object.entries(start).map(([name, { shape }]) => [name, values(name, shape, 0.3)])),
  );
}

async function sameMerged(t: Test, label: string, a: AdapterValues, b: AdapterValues | undefined): Promise<void> {
  t.same([...(b?.keys() ?? [])].sort(), [...a.keys()].sort(), label);
  for (const [module, own] of a) {
    const weight = values(module, network.get(`${module}.weight`) as Shape, 0.5);
    const other = mergedWeight(weight, b?.get(module) as { adapter: ModuleAdapter; values: PartTensors });
    t.ok(worst(other, mergedWeight(weight, own)) < 1e-6, `${label}: ${module}`);
  }
}

void t.test(
  'each kind survives PEFT folders and, where such files have it, kohya files: the same merged weights',
  async (t) => {
    for (const [name, type, options] of KINDS) {
      const own = await adapterOf(type, options);
      const dir = t.testdir();
      const fitted = { values: { unet: own }, parameters, base: record };
      await exportAdapter(fitted, 'peft', join(dir, 'peft'));
      await sameMerged(t, `${name} by PEFT`, own, (await loadAdapter(join(dir, 'peft'), parameters, record)).unet);
      const file = join(dir, 'a.safetensors');
      if (type === 'OFT') {
        await t.rejects(
          exportAdapter(fitted, 'kohya', file),
          /kohya: files .* cannot hold this kind of adapter \(OFT\)/,
        );
        await t.rejects(
          exportAdapter(fitted, 'diffusers', file),
          /diffusers: load_lora_weights takes LoRA and DoRA only/,
        );
        continue;
      }
      await exportAdapter(fitted, 'kohya', file);
      await sameMerged(t, `${name} by kohya`, own, (await loadAdapter(file, parameters, record)).unet);
      if (type !== 'LoRA') continue;
      await exportAdapter(fitted, 'diffusers', file);
      await sameMerged(t, `${name} by diffusers`, own, (await loadAdapter(file, parameters, record)).unet);
    }
  },
);

void t.test(
  'kohya files may hold a kind per module, cores in the middle, scalars, and alphas of any type',
  async (t) => {
    const dir = t.testdir();
    const path = join(dir, 'a.safetensors');
    const weight = values('conv1', [12, 20, 3, 3]);
    const down = values('down', [2, 20, 1, 1]);
    const mid = values('mid', [2, 2, 3, 3]);
    const up = values('up', [12, 2, 1, 1]);
    const hada = (n: number): Record<string, HostTensor> => ({
      [`lora_unet_to_q.hada_w${n}_a`]: values(`a${n}`, [20, 2]),
      [`lora_unet_to_q.hada_w${n}_b`]: values(`b${n}`, [2, 12]),
    });
    await writeSafetensors(path, {
      'lora_unet_conv1.lora_down.weight': down,
      'lora_unet_conv1.lora_mid.weight': mid,
      'lora_unet_conv1.lora_up.weight': up,
      'lora_unet_conv1.alpha': { dtype: 'int64', shape: [], data: BigInt64Array.of(4n) },
      'lora_unet_conv1.scalar': float32([0.5], []),
      ...hada(1),
      ...hada(2),
      'lora_unet_to_q.alpha': float32([1], []),
    });
    const { unet } = await loadAdapter(path, parameters, record);
    // 4 / 2 * 0.5 = 1 times the product of the three convolutions.
    const expected = Float32Array.from(floats(weight));
    for (let o = 0; o < 12; o++)
      for (let c = 0; c < 20; c++)
        for (let p = 0; p < 9; p++)
          for (let i = 0; i < 2; i++)
            for (let j = 0; j < 2; j++)
              expected[(o * 20 + c) * 9 + p] +=
                floats(up)[o * 2 + i] * floats(mid)[(i * 2 + j) * 9 + p] * floats(down)[j * 20 + c];
    const conv = unet?.get('conv1') as { adapter: ModuleAdapter; values: PartTensors };
    t.ok(worst(mergedWeight(weight, conv), float32(expected, weight.shape)) < 1e-6);
    t.equal(unet?.get('to_q')?.adapter.constructor.name, 'LohaModule');

    const refused = async (tensors: Record<string, HostTensor>, message: RegExp): Promise<void> => {
      await writeSafetensors(path, tensors);
      await t.rejects(loadAdapter(path, parameters, record), message);
    };
    const one = float32([1], [1]);
    await refused({ 'lora_unet_to_q.oft_blocks': one }, /OFT of LyCORIS, which rotates outputs and is not supported/);
    await refused(
      { 'lora_unet_to_q.diff': one },
      /whole differences of weights, biases or norms \(LyCORIS full, norm\)/,
    );
    await refused({ 'lora_unet_to_q.on_input': one }, /\(IA\)\^3 of LyCORIS/);
    await refused({ 'bundle_emb.dog.string_to_param.*': one }, /textual-inversion embedding \(OneTrainer\)/);
    await refused({ 'lora_te2_x.lora_down.weight': one }, /second text encoder, which SDXL has/);
    await refused({ 'lora_unet_to_q.strange': one }, /of no kind that is supported \(LoRA, DoRA, LoHa, LoKr\)/);
    await refused(
      {
        'lora_unet_to_q.lora_down.weight': values('d', [2, 12]),
        'lora_unet_to_q.lora_up.weight': values('u', [20, 2]),
        'lora_unet_to_q.dora_scale': values('s', [1, 12]),
      },
      /dora_scale \[1,12\]: lengths of columns \(wd_on_output false\)/,
    );
  },
);

void t.test(
  'PiSSA starts from the largest singular values and is saved with rank 2 r for the plain weight',
  async (t) => {
    // Singular values 3 and 1 with the unit vectors.
    const weight = float32([3, 0, 0, 0, 1, 0], [2, 3]);
    const kind = buildKind('LoRA', { r: 1, lora_alpha: 1, init_lora_weights: 'pissa', target_modules: ['m'] });
    const adapter = new NetworkAdapter(kind, 'unet', new Map([['m.weight', [2, 3]]]), 'lora');
    const read = async (): Promise<HostTensor> => weight;
    await adapter.prepare(read);
    const start = await adapter.start(new Rng(0), read);
    const [a, b] = ['lora_A.weight', 'lora_B.weight'].map((part) => floats(start[`unet.m.${part}`]));
    const product = [0, 1].flatMap((o) => [0, 1, 2].map((i) => Math.abs(b[o] * a[i])));
    t.ok(Math.abs(product[0] - 3) < 1e-6 && product.slice(1).every((v) => v < 1e-6), String(product));
    const [[, saved]] = adapter.trained(start);
    t.same(saved.values['lora_A.weight'].shape, [2, 3]);
    t.match(kind.peftOptions(), { r: 2, lora_alpha: 2, init_lora_weights: true });
    t.ok(worst(mergedWeight(weight, saved), weight) < 1e-6, 'nothing is trained yet');
  },
);

void t.test('the factors of LoKr and the blocks of OFT are those of PEFT', (t) => {
  t.same(
    [320, 640, 768, 1280, 127].map((n) => factorization(n, -1)),
    [
      [16, 20],
      [20, 32],
      [24, 32],
      [32, 40],
      [1, 127],
    ],
  );
  t.same(
    [
      [128, 4],
      [18, 4],
      [10, 4],
    ].map(([n, f]) => factorization(n, f)),
    [
      [4, 32],
      [3, 6],
      [2, 5],
    ],
  );
  t.same(
    [
      [320, 32],
      [12, 5],
      [12, 100],
      [10, 4],
      [9, 5],
    ].map(([n, b]) => nearestDivisor(n, b)),
    [32, 4, 12, 5, 3],
  );
  t.throws(
    () => buildKind('OFT', { r: 2 }).module('m', [4, 8], 'lora'),
    /lora: r is 2 and oft_block_size is 32; one of them must be 0/,
  );
  t.end();
});
