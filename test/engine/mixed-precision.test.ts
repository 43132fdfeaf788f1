/** AmpOptimWrapper: products in float16, and the scale of the loss. The reference backend rounds to float16 after each of them. */
import t from 'tap';
import type { Backend, Program } from '../../src/backends/backend.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { AdamW } from '../../src/engine/optimizers/adamw.js';
import { LossScale, type LossScaleSetting } from '../../src/engine/loss-scale.js';
import { Parameters } from '../../src/engine/parameters.js';
import { TrainStep } from '../../src/engine/train-step.js';
import type { Model } from '../../src/models/model.js';
import { float16ToFloat, floatToFloat16 } from '../../src/tensor/half.js';
import { float32, floats, type HostTensor } from '../../src/tensor/host.js';
import { add, cast, gemm, mean, mul, reshape, square, sub, tanh, transpose } from '../../src/tensor/ops.js';
import { halfProducts } from '../../src/tensor/passes/half-products.js';
import { input, parameter, topo, weight, type Tensor } from '../../src/tensor/tensor.js';
import { relativeError } from '../../src/checking/sample-inputs.js';
import { wave } from '../fixtures/networks/networks.js';

const half = (x: number): number => float16ToFloat(floatToFloat16(x));

/** Two layers; the loss is multiplied by `factor`, and so are its gradients. */
const perceptron = (factor: number): Pick<Model, 'loss' | 'buffers'> => ({
  buffers: () => ({}),
  loss: ({ x, y }) => {
    const hidden = tanh(gemm(input('x', x.shape), parameter('first', [4, 3]), undefined, false, true));
    return {
      loss: mul(
        mean(square(sub(gemm(hidden, parameter('second', [2, 4]), undefined, false, true), input('y', y.shape)))),
        factor,
      ),
    };
  },
});
const SHAPES = new Map([
  ['first', [4, 3]],
  ['second', [2, 4]],
]);
const VALUES = { first: wave([4, 3]), second: wave([2, 4], 20) },
  FEEDS = { x: wave([5, 3], 3), y: wave([5, 2], 40) };

/** Logs of some steps with a learning rate of 0.1, and what gradients or parameters are then. */
async function trained(
  factor: number,
  lossScale: LossScaleSetting | undefined,
  steps: number,
  accumulativeCounts = 1,
): Promise<{
  logs: Record<string, number>[];
  values: Record<string, HostTensor>;
  backend: Backend;
  gradients: Record<string, HostTensor>;
}> {
  const backend = new ReferenceBackend({}),
    parameters = new Parameters(SHAPES),
    logs: Record<string, number>[] = [];
  const step = new TrainStep({
    model: perceptron(factor) as Model,
    backend,
    parameters,
    optimizer: new AdamW({ lr: 0.1, betas: [0.9, 0.999], eps: 1e-30, weight_decay: 0 }),
    accumulativeCounts,
    lossScale,
    maxIters: 1000,
  });
  await step.init(VALUES);
  for (let iteration = 0; iteration < steps; iteration++) logs.push(await step.run(FEEDS, { iteration, lr: 0.1 }));
  const gradients = accumulativeCounts > 1 ? await parameters.read(backend.states, 'grads') : {};
  return { logs, backend, gradients, values: await parameters.read(backend.states, 'params') };
}

void t.test('products are rounded to float16, what is between them is not', async (t) => {
  const a = input('a', [2, 2]),
    b = input('b', [2, 2]),
    product = gemm(a, b),
    [y, kept] = halfProducts([add(product, 1), mul(a, 1.0001)]);
  const feeds = { a: float32([1.0001, 2, 3, 4.001], [2, 2]), b: float32([1, 0, 0, 2.0001], [2, 2]) };
  const program = await new ReferenceBackend({}).compile({ name: 'rounded', outputs: { y, kept } });
  const found = await program.run(feeds);
  t.strictSame(
    [...floats(found.y)],
    [1, 4, 3, half(4.001) * 2].map((v) => Math.fround(half(v) + 1)),
    '1.0001 and 2.0001 are no float16 numbers',
  );
  t.strictSame(floats(found.kept)[0], Math.fround(Math.fround(1.0001) * Math.fround(1.0001)));
});

void t.test('weights with 16 bits are read as they are, and values are narrowed before they are moved', (t) => {
  const w = cast(weight({ key: 'w', file: 'w', offset: 0, bytes: 60 }, { dtype: 'float16', shape: [5, 6] }), 'float32');
  const [y] = halfProducts([gemm(reshape(transpose(input('x', [3, 4]), [1, 0]), [2, 6]), w, undefined, false, true)]);
  t.strictSame(
    topo([y])
      .map(({ op, outs: [{ dtype }] }) => `${op} ${dtype}`)
      .sort(),
    [
      'cast float16',
      'cast float32',
      'gemm float16',
      'input float32',
      'reshape float16',
      'transpose float16',
      'weight float16',
    ],
  );
  t.end();
});

void t.test('gradients that are too small for float16 vanish without a scale and survive with one', async (t) => {
  const factor = 1e-9,
    exact = await trained(factor, undefined, 1, 2),
    lost = await trained(factor, 1, 1, 2),
    kept = await trained(factor, 2 ** 20, 1, 2);
  const all = ({ gradients }: typeof exact) =>
    Float32Array.from(Object.values(gradients).flatMap((g) => [...floats(g)]));
  t.ok(all(exact).every((g) => g !== 0 && Math.abs(g) < 1e-8));
  t.ok(all(lost).filter((g) => g === 0).length >= 12, `all of the first layer: ${all(lost)}`);
  t.ok(all(kept).every((g) => g !== 0));
  const error = relativeError(all(kept), all(exact));
  t.ok(error > 1e-6 && error < 2e-3, `rounded like float16, no more: ${error}`);
  t.equal(kept.logs[0]['loss_scale'], 2 ** 20);
  t.equal(kept.logs[0]['grad_square'], undefined);
});

void t.test('a dynamic scale that is too large skips updates and halves until gradients are numbers', async (t) => {
  const { logs, values, backend } = await trained(100, 'dynamic', 9),
    exact = await trained(100, undefined, 9);
  const skipped = logs.filter((l) => l['grad_norm'] === undefined).length;
  t.ok(skipped >= 2 && skipped <= 8, `${skipped} skipped`);
  t.strictSame(
    logs.map((l) => l['loss_scale']),
    Array.from({ length: 9 }, (_, i) => 2 ** (16 - Math.min(i, skipped))),
  );
  t.ok(
    logs.slice(0, skipped + 1).every((l) => l['loss'] === logs[0]['loss']),
    'nothing changed until then',
  );
  t.ok(
    Math.abs((logs[skipped]['grad_norm'] ?? 0) / exact.logs[0]['grad_norm'] - 1) < 2e-3,
    'the norm is that of gradients without a scale',
  );
  t.strictSame([...floats(await backend.states.read('amp/loss_scale'))], [2 ** (16 - skipped), 9 - skipped, skipped]);
  const [first, second] = Object.values((await trained(100, 'dynamic', skipped + 1)).values).map(floats),
    wanted = Object.values((await trained(100, undefined, 1)).values).map(floats);
  t.ok(
    relativeError(first, wanted[0]) < 1e-3 && relativeError(second, wanted[1]) < 1e-3,
    "the first update that is made is the optimizer's first",
  );
  t.notSame(values, VALUES);
});

void t.test('skipped updates of a group are forgotten with its gradients', async (t) => {
  const { logs, gradients } = await trained(100, 'dynamic', 2, 2);
  t.equal(logs[1]['grad_norm'], undefined);
  t.ok(Object.values(gradients).every((g) => floats(g).every((v) => v === 0)));
});

void t.test('the scale doubles after 2,000 updates in a row; a fixed one never changes', async (t) => {
  const { states } = new ReferenceBackend({}),
    dynamic = new LossScale('dynamic'),
    fixed = new LossScale(128);
  await states.write('amp/loss_scale', float32([4, 1998, 5], [3]));
  await dynamic.settle(states, true, 0);
  t.strictSame(await dynamic.current(states), { scale: 4, skipped: 5 });
  await dynamic.settle(states, true, 1);
  t.strictSame([...floats(await states.read('amp/loss_scale'))], [8, 0, 5]);
  await fixed.settle(states, true, 2);
  t.strictSame(await fixed.current(states), { scale: 128, skipped: 0 });
});

void t.test('gradients that no scale mends, and a fixed scale that is too large, are errors of the user', async (t) => {
  const { states } = new ReferenceBackend({});
  await states.write('amp/loss_scale', float32([2 ** -14, 0, 0], [3]));
  await t.rejects(new LossScale('dynamic').settle(states, false, 7), {
    name: 'UserError',
    message:
      /^iteration 7: gradients are not numbers at any loss scale down to 0\.00006103515625; try a lower optim_wrapper\.optimizer\.lr/,
  });
  await t.rejects(trained(100, 2 ** 20, 1), {
    name: 'UserError',
    message:
      "iteration 0: gradients are not numbers with optim_wrapper.loss_scale 1048576; take a smaller one, or 'dynamic'",
  });
});

void t.test('a step computes with 16 bits where it should: every product, forward and backward', async (t) => {
  const programs: Program[] = [],
    backend = new ReferenceBackend({});
  const compile = backend.compile.bind(backend);
  backend.compile = (program) => {
    programs.push(program);
    return compile(program);
  };
  const step = new TrainStep({
    model: perceptron(1) as Model,
    backend,
    parameters: new Parameters(SHAPES),
    optimizer: new AdamW({ lr: 0.1, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0 }),
    accumulativeCounts: 1,
    lossScale: 'dynamic',
    maxIters: 1,
  });
  await step.init(VALUES);
  await step.run(FEEDS, { iteration: 0, lr: 0.1 });
  t.strictSame(
    programs.map(({ name }) => name),
    ['grad_step', 'apply_step'],
  );
  const dtypes = (outs: readonly Tensor[], op: string) =>
    topo(outs)
      .filter((n) => n.op === op)
      .map((n) => n.outs[0].dtype);
  t.strictSame(
    dtypes([...Object.values(programs[0].outputs), ...Object.values(programs[0].updates ?? {})], 'gemm'),
    Array(5).fill('float16'),
    'two forward, three backward',
  );
});
