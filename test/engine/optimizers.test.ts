/** Optimizers against their references (scripts/make-optimizer-fixtures.py), on the slow backend and on the one that trains. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import type { Backend } from '../../src/backends/backend.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import type { Logger } from '../../src/base/logger.js';
import { loadComponents } from '../../src/components.js';
import { buildBackend } from '../../src/engine/build-backend.js';
import { OPTIMIZERS, type Optimizer } from '../../src/engine/optimizers/optimizer.js';
import { Parameters } from '../../src/engine/parameters.js';
import { TrainStep } from '../../src/engine/train-step.js';
import type { Model } from '../../src/models/model.js';
import { createBuild } from '../../src/registry/container.js';
import { float32, floats, sizeOf, type HostTensor } from '../../src/tensor/host.js';
import { add, mul, sum } from '../../src/tensor/ops.js';
import { input, parameter } from '../../src/tensor/tensor.js';

interface Golden {
  readonly steps: number;
  readonly cases: readonly {
    readonly type: string;
    readonly options: object;
    readonly weights: Readonly<Record<string, number[]>>;
    readonly logs: Readonly<Record<string, number>>;
  }[];
}
const golden = JSON.parse(readFileSync('test/fixtures/engine/optimizers.json', 'utf8')) as Golden;
await loadComponents();
const silent: Logger = { info: () => {}, warn: () => {}, debug: () => {} };

const SHAPES = new Map([
  ['matrix', [4, 3]],
  ['vector', [3]],
  ['kernel', [2, 3, 2, 2]],
]);
const each = (of: (name: string, i: number) => number): Record<string, HostTensor> =>
  Object.fromEntries(
    [...SHAPES].map(([name, shape]) => [
      name,
      float32(
        Float32Array.from({ length: sizeOf(shape) }, (_, i) => of(name, i)),
        shape,
      ),
    ]),
  );
const START = each((name, i) => 0.5 * Math.sin(i * 1.3 + name.length));
const gradients = (step: number): Record<string, HostTensor> =>
  each((name, i) => 0.1 * Math.sin(i * 1.7 + step * 0.9 + name.length) + 0.05);

/** Its gradients are what it is fed. */
const model: Pick<Model, 'loss' | 'buffers'> = {
  buffers: () => ({}),
  loss: () => ({
    loss: [...SHAPES].map(([name, shape]) => sum(mul(parameter(name, shape), input(name, shape)))).reduce(add),
  }),
};

const optimizer = (config: object): Optimizer => createBuild([])(OPTIMIZERS, config);
function trainStep(config: object, backend: Backend): { step: TrainStep; parameters: Parameters; lr: number } {
  const parameters = new Parameters(SHAPES),
    built = optimizer(config);
  const parts = { model: model as Model, backend, parameters, optimizer: built, accumulativeCounts: 1, maxIters: 100 };
  return { step: new TrainStep(parts), parameters, lr: built.lr };
}

for (const [name, backend, limit] of [
  ['reference', () => new ReferenceBackend({}), 1e-6],
  ['onnxruntime', () => buildBackend('OnnxRuntimeBackend', silent), 2e-5],
] as const) {
  for (const { type, options, weights, logs } of golden.cases) {
    void t.test(`${type} ${JSON.stringify(options)} on ${name}: the weights of its reference`, async (t) => {
      const on = backend();
      const { step, parameters, lr } = trainStep({ type, ...options }, on);
      await step.init(START);
      let last: Record<string, number> = {};
      for (let iteration = 0; iteration < golden.steps; iteration++)
        last = await step.run(gradients(iteration), { iteration, lr });
      const values = await parameters.read(on.states, 'params');
      for (const [key, wanted] of Object.entries(weights)) {
        const moved = Math.max(...wanted.map((w, i) => Math.abs(w - floats(START[key])[i])));
        const error = Math.max(...wanted.map((w, i) => Math.abs(w - floats(values[key])[i])));
        t.ok(error < limit * Math.max(moved, 1), `${key}: moved by ${moved}, off by ${error}`);
        t.ok(moved > 50 * error, 'the distance says something');
      }
      for (const [key, wanted] of Object.entries(logs))
        t.ok(Math.abs(last[key] / wanted - 1) < 1e-4, `${key} ${wanted}`);
      await step.dispose();
      await on.dispose();
    });
  }
}

for (const type of ['Lion', 'Adafactor', 'Prodigy']) {
  void t.test(`${type}: states that are put back go on bit for bit`, async (t) => {
    const whole = new ReferenceBackend({}),
      one = trainStep({ type }, whole);
    await one.step.init(START);
    for (let iteration = 0; iteration < 4; iteration++)
      await one.step.run(gradients(iteration), { iteration, lr: one.lr });
    const saved = new Map<string, HostTensor>();
    for (const name of one.step.stateNames) saved.set(name, await whole.states.read(name));
    const resumed = new ReferenceBackend({}),
      two = trainStep({ type }, resumed);
    await two.step.init(START);
    for (const [name, value] of saved) await resumed.states.write(name, value);
    for (let iteration = 4; iteration < 8; iteration++) {
      await one.step.run(gradients(iteration), { iteration, lr: one.lr });
      await two.step.run(gradients(iteration), { iteration, lr: two.lr });
    }
    for (const name of one.step.stateNames)
      t.strictSame(floats(await resumed.states.read(name)), floats(await whole.states.read(name)), name);
  });
}

void t.test('Adafactor: options that exclude each other are refused', (t) => {
  t.throws(() => optimizer({ type: 'Adafactor', lr: 1e-3 }), {
    message:
      'optim_wrapper.optimizer.lr: 0.001, and relative_step finds a rate of its own; set relative_step: false, or lr: null',
  });
  t.throws(() => optimizer({ type: 'Adafactor', relative_step: false }), {
    message: 'optim_wrapper.optimizer.lr: null, and relative_step is off; give a learning rate, e.g. 1e-3',
  });
  t.throws(() => optimizer({ type: 'Adafactor', lr: 1e-3, relative_step: false, warmup_init: true }), {
    message:
      'optim_wrapper.optimizer.warmup_init: true, and relative_step is off; set relative_step: true, or use a schedule',
  });
  t.end();
});
