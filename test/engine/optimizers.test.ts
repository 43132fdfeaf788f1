/** Optimizers against their references (scripts/make-optimizer-fixtures.py), on the slow backend and on the one that trains. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import type { Backend } from '../../src/backends/backend.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import type { Logger } from '../../src/base/logger.js';
import { loadComponents } from '../../src/components.js';
import { buildBackend } from '../../src/engine/build-backend.js';
import { DynamicMap, dynamicMap } from '../../src/engine/optimizers/dynamic-map.js';
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
  readonly maps: Readonly<Record<'signed' | 'unsigned', number[]>>;
  readonly cases: readonly {
    readonly type: string;
    readonly options: object;
    readonly shapes: Readonly<Record<string, number[]>>;
    readonly weights: Readonly<Record<string, number[]>>;
    readonly logs: Readonly<Record<string, number>>;
  }[];
}
const golden = JSON.parse(readFileSync('test/fixtures/engine/optimizers.json', 'utf8')) as Golden;
await loadComponents();
const silent: Logger = { info: () => {}, warn: () => {}, debug: () => {} };

type Shapes = ReadonlyMap<string, readonly number[]>;
const SHAPES: Shapes = new Map([
  ['matrix', [4, 3]],
  ['vector', [3]],
  ['kernel', [2, 3, 2, 2]],
]);
const each = (shapes: Shapes, of: (name: string, i: number) => number): Record<string, HostTensor> =>
  Object.fromEntries(
    [...shapes].map(([name, shape]) => [
      name,
      float32(
        Float32Array.from({ length: sizeOf(shape) }, (_, i) => of(name, i)),
        shape,
      ),
    ]),
  );
const startOf = (shapes: Shapes): Record<string, HostTensor> =>
  each(shapes, (name, i) => 0.5 * Math.sin(i * 1.3 + name.length));
const gradients = (shapes: Shapes, step: number): Record<string, HostTensor> =>
  each(shapes, (name, i) => 0.1 * Math.sin(i * 1.7 + step * 0.9 + name.length) + 0.05);

/** Its gradients are what it is fed. */
const modelOf = (shapes: Shapes): Pick<Model, 'loss' | 'buffers'> => ({
  buffers: () => ({}),
  loss: () => ({
    loss: [...shapes].map(([name, shape]) => sum(mul(parameter(name, shape), input(name, shape)))).reduce(add),
  }),
});

const optimizer = (config: object): Optimizer => createBuild([])(OPTIMIZERS, config);
function trainStep(
  config: object,
  backend: Backend,
  shapes: Shapes = SHAPES,
): { step: TrainStep; parameters: Parameters; lr: number } {
  const parameters = new Parameters(shapes),
    built = optimizer(config);
  const parts = {
    model: modelOf(shapes) as Model,
    backend,
    parameters,
    optimizer: built,
    accumulativeCounts: 1,
    maxIters: 100,
  };
  return { step: new TrainStep(parts), parameters, lr: built.lr };
}

for (const [name, backend, limit] of [
  ['reference', () => new ReferenceBackend({}), 1e-6],
  ['onnxruntime', () => buildBackend('OnnxRuntimeBackend', silent), 2e-5],
] as const) {
  for (const { type, options, shapes: given, weights, logs } of golden.cases) {
    void t.test(`${type} ${JSON.stringify(options)} on ${name}: the weights of its reference`, async (t) => {
      const on = backend(),
        shapes = new Map(Object.entries(given)),
        start = startOf(shapes);
      const { step, parameters, lr } = trainStep({ type, ...options }, on, shapes);
      await step.init(start);
      let last: Record<string, number> = {};
      for (let iteration = 0; iteration < golden.steps; iteration++)
        last = await step.run(gradients(shapes, iteration), { iteration, lr });
      const values = await parameters.read(on.states, 'params');
      for (const [key, wanted] of Object.entries(weights)) {
        const moved = Math.max(...wanted.map((w, i) => Math.abs(w - floats(start[key])[i])));
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

const EIGHT_BITS = { type: 'AdamW8bit', min_8bit_size: 12 };
for (const config of [{ type: 'Lion' }, { type: 'Adafactor' }, { type: 'Prodigy' }, EIGHT_BITS]) {
  void t.test(`${config.type}: states that are put back go on bit for bit`, async (t) => {
    const whole = new ReferenceBackend({}),
      one = trainStep(config, whole);
    await one.step.init(startOf(SHAPES));
    for (let iteration = 0; iteration < 4; iteration++)
      await one.step.run(gradients(SHAPES, iteration), { iteration, lr: one.lr });
    const saved = new Map<string, HostTensor>();
    for (const name of one.step.stateNames) saved.set(name, await whole.states.read(name));
    const resumed = new ReferenceBackend({}),
      two = trainStep(config, resumed);
    await two.step.init(startOf(SHAPES));
    for (const [name, value] of saved) await resumed.states.write(name, value);
    for (let iteration = 4; iteration < 8; iteration++) {
      await one.step.run(gradients(SHAPES, iteration), { iteration, lr: one.lr });
      await two.step.run(gradients(SHAPES, iteration), { iteration, lr: two.lr });
    }
    for (const name of one.step.stateNames)
      t.strictSame(await resumed.states.read(name), await whole.states.read(name), name);
  });
}

void t.test(
  'AdamW8bit: its maps are those of bitsandbytes, and its states 2 bytes per parameter and 8 per block',
  async (t) => {
    t.strictSame([...dynamicMap(true)], golden.maps.signed);
    t.strictSame([...dynamicMap(false)], golden.maps.unsigned);
    const on = new ReferenceBackend({}),
      { step } = trainStep(EIGHT_BITS, on);
    await step.init(startOf(SHAPES));
    const types: Record<string, string> = {};
    for (const name of step.stateNames) {
      const { dtype, shape } = await on.states.type(name);
      types[name] = `${dtype}[${shape}]`;
    }
    t.strictSame(types, {
      'optimizer/state1/packed': 'uint8[512]', // matrix and kernel, each filled up to a block
      'optimizer/state2/packed': 'uint8[512]',
      'optimizer/absmax1/packed': 'float32[2]',
      'optimizer/absmax2/packed': 'float32[2]',
      'optimizer/state32_1/packed': 'float32[3]',
      'optimizer/state32_2/packed': 'float32[3]',
      'params/packed': 'float32[39]',
    });
  },
);

void t.test('AdamW8bit: the code of each number is the nearest one', async (t) => {
  for (const signed of [true, false]) {
    const map = dynamicMap(signed),
      borders = [...map.subarray(1)].map((value, i) => Math.fround((map[i] + value) / 2));
    // Both sides of each border, and the borders, in blocks whose largest value is 1.
    const values = borders.flatMap((b) => [b, b * (1 - 1e-5), b * (1 + 1e-5), ...(signed ? [-b] : [])]);
    const blocks = Array.from({ length: Math.ceil(values.length / 255) }, (_, i) => [
      1,
      ...Array.from({ length: 255 }, (_, k) => Math.fround(values[i * 255 + k] ?? 0)),
    ]).flat();
    const { codes } = new DynamicMap(signed).pack(input('x', [blocks.length]));
    for (const on of [new ReferenceBackend({}), buildBackend('OnnxRuntimeBackend', silent)]) {
      const program = await on.compile({ name: 'pack', outputs: { codes } });
      const { codes: got } = await program.run({ x: float32(Float32Array.from(blocks), [blocks.length]) });
      t.strictSame(
        [...(got.data as Uint8Array)],
        blocks.map((value) => borders.filter((border) => border < value).length),
        `${on.name}, ${signed ? 'signed' : 'unsigned'}`,
      );
      await program.dispose();
      await on.dispose();
    }
  }
});

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
