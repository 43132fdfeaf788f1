/** Convolutions by tiles are those of the reference, however they are cut, and are taken where they are worth it. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import t from 'tap';
import type { Program } from '../../src/backends/backend.js';
import { emitProgram, type EmittedProgram } from '../../src/backends/onnx/emit.js';
import { tiledBytes, winograd, type TilingLimits } from '../../src/backends/onnx/winograd.js';
import { IDLE_PASSES } from '../../src/backends/onnxruntime/idle-passes.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { sizeOf, type HostTensor } from '../../src/tensor/host.js';
import { grad } from '../../src/tensor/autodiff.js';
import { conv2d, mul, sum } from '../../src/tensor/ops.js';
import { input, type Tensor } from '../../src/tensor/tensor.js';
import { wave } from '../fixtures/networks/networks.js';

const ALL: TilingLimits = {
  smallest: 0,
  worth: Infinity,
  tileElements: 2 ** 23,
  weightElements: 2 ** 22,
  fewTiles: 128,
};
const WORTH_IT: TilingLimits = { ...ALL, worth: 0.8 };
const CHANNELS = 32;

/** y of a convolution, and the gradients of a weighted sum of it. */
function program(shape: readonly number[], out: number, bias: boolean): Program {
  const x = input('x', shape),
    w = input('w', [out, shape[1], 3, 3]),
    b = input('b', [out]);
  const y = conv2d(x, w, bias ? b : undefined, 1, 1);
  const [gx] = grad(sum(mul(y, input('g', y.shape))), [x]);
  return { name: 'conv', outputs: { y, gx: gx as Tensor }, updates: {} };
}

const feedsOf = (shape: readonly number[], out: number): Record<string, HostTensor> =>
  Object.fromEntries(
    Object.entries({ x: shape, w: [out, shape[1], 3, 3], b: [out], g: [shape[0], out, shape[2], shape[3]] }).map(
      ([name, dims], i) => [name, wave(dims, 7 * i)],
    ),
  );

const emit = (program: Program, limits: TilingLimits): EmittedProgram =>
  emitProgram(
    program,
    () => {
      throw new Error('no files');
    },
    { lowering: winograd(limits) },
  );

async function run(program: Program, limits: TilingLimits, feeds: Record<string, HostTensor>) {
  const { model, inputs, outputs } = emit(program, limits);
  const session = await ort.InferenceSession.create(model, { graphOptimizationLevel: 'extended', logSeverityLevel: 4 });
  const fed = inputs.map(({ name }) => {
    const { data, shape } = feeds[name.slice('in:'.length)];
    return [name, new ort.Tensor('float32', data as Float32Array, shape)] as const;
  });
  const got = await session.run(Object.fromEntries(fed));
  const ops = operators(model);
  return {
    ops,
    values: Object.fromEntries(outputs.map(({ name, graphName }) => [name, got[graphName].data as Float32Array])),
  };
}

/** Names of operators stand in a model as text. */
function operators(model: Uint8Array): { plain: number; tiled: number } {
  const text = Buffer.from(model).toString('latin1');
  return { plain: text.split(/\/ConvTranspose\./).length - 1, tiled: text.split('/DepthToSpace.').length - 1 };
}

void t.test('values and gradients are those of the reference', async (t) => {
  const cases: readonly [string, readonly number[], Partial<TilingLimits>, number][] = [
    ['tiles of 4, one part', [1, CHANNELS, 32, 24], {}, 2],
    ['tiles of 2', [1, CHANNELS, 10, 6], {}, 2],
    ['samples together', [3, CHANNELS, 8, 8], {}, 2],
    ['samples apart', [2, CHANNELS, 8, 8], { fewTiles: 0 }, 4],
    [
      'strips: the first, some between, the last',
      [1, CHANNELS, 32, 24],
      { tileElements: 36 * 6 * 2 * 2 * CHANNELS },
      8,
    ],
    ['channels in three parts', [1, CHANNELS, 32, 24], { weightElements: 36 * CHANNELS * 12 }, 6],
    [
      'all of it at once',
      [2, CHANNELS, 32, 24],
      { tileElements: 36 * 6 * 3 * (CHANNELS + 12), weightElements: 36 * CHANNELS * 12 },
      2 * 2 * 3 * 3,
    ],
  ];
  for (const [what, shape, limits, tiled] of cases) {
    const out = CHANNELS,
      wanted = program(shape, out, true),
      feeds = feedsOf(shape, out);
    const reference = await (await new ReferenceBackend({}).compile(wanted)).run(feeds);
    const { values, ops } = await run(wanted, { ...ALL, ...limits }, feeds);
    t.strictSame(ops, { plain: 0, tiled }, what);
    for (const [name, value] of Object.entries(values)) {
      const expected = reference[name].data as Float32Array,
        scale = Math.max(...Array.from(expected, Math.abs));
      const error = Math.max(...Array.from(value, (v, i) => Math.abs(v - expected[i]))) / scale;
      t.ok(error < 4e-6, `${what}, ${name}: ${error}`);
    }
  }
});

/** Names of operators in the order in which the runtime computes them, of one run. */
async function orderOf(program: Program, limits: TilingLimits, folder: string): Promise<string[]> {
  const { model, inputs } = emit(program, limits);
  const session = await ort.InferenceSession.create(model, {
    graphOptimizationLevel: 'extended',
    enableProfiling: true,
    profileFilePrefix: join(folder, 'profile'),
    logSeverityLevel: 4,
    extra: { optimization: { disable_specified_optimizers: IDLE_PASSES.join(';') } },
  });
  const zeros = inputs.map(
    ({ name, shape }) => [name, new ort.Tensor(new Float32Array(sizeOf(shape)), shape)] as const,
  );
  await session.run(Object.fromEntries(zeros));
  session.endProfiling();
  const [file] = await readdir(folder);
  const events = JSON.parse(await readFile(join(folder, file), 'utf8')) as { name: string }[];
  return events.flatMap(({ name }) => /^(\w+\/\w+)\.\d+_kernel_time$/.exec(name)?.[1] ?? []);
}

void t.test('each part is written before the next is computed, and weights are not transformed ahead', async (t) => {
  const x = input('x', [1, CHANNELS, 32, 24]),
    filters = ['first', 'second'].map((name) => input(name, [CHANNELS, CHANNELS, 3, 3]));
  const y = filters.reduce((picture, w) => conv2d(picture, w, undefined, 1, 1), x);
  const limits = { ...ALL, tileElements: 36 * 6 * 2 * 2 * CHANNELS };
  const order = await orderOf({ name: 'convs', outputs: { y }, updates: {} }, limits, t.testdir());
  const strip = ['Conv', 'FusedMatMul', 'TensorScatter'];
  t.strictSame(
    order.filter((name) => /FusedMatMul|Conv$|TensorScatter|Concat/.test(name)),
    [0, 1].flatMap((id) =>
      ['Conv', 'FusedMatMul', ...strip.slice(1), ...strip, ...strip, ...strip].map((op) => `conv2d_${id}/${op}`),
    ),
    'the weights once, when the first strip has its tiles; then strip by strip',
  );
});

void t.test('what does not gain keeps the plain operator', async (t) => {
  const tiled = async (shape: readonly number[], out: number, limits = WORTH_IT): Promise<number> =>
    (await run(program(shape, out, false), limits, feedsOf(shape, out))).ops.tiled;
  t.equal(await tiled([1, 128, 32, 32], 128), 2, 'the measure: it is taken');
  t.equal(await tiled([1, 128, 31, 32], 128), 0, 'an odd side');
  t.equal(await tiled([1, 128, 32, 32], 8), 0, 'few channels out: the first half of a LoRA');
  t.equal(await tiled([1, 4, 32, 32], 128), 0, 'few channels in');
  t.equal(await tiled([1, 128, 4, 4], 128), 0, 'so few pixels that weights are all of the work');
  t.equal(await tiled([1, 128, 32, 32], 128, { ...WORTH_IT, smallest: 2 ** 28 }), 0, 'a small product');
});

void t.test('scratch: tiles, products and transformed weights; where it is cut, one part of the result, too', (t) => {
  const bytes = (C: number, side: number): number | undefined => {
    const shape = [1, C, side, side];
    return tiledBytes({
      attrs: { stride: 1, pads: [1, 1, 1, 1] },
      inTypes: [
        { dtype: 'float32', shape },
        { dtype: 'float32', shape: [C, C, 3, 3] },
      ],
      outTypes: [{ dtype: 'float32', shape }],
    });
  };
  t.equal(bytes(128, 32), 4 * 36 * (64 * 2 * 128 + 128 * 128), 'in one part');
  const strip = 4 * 36 * (64 * 14 * 2 * 128 + 128 * 128); // 64 rows of 64 tiles, in 5 strips of at most 13 rows
  const result = 4 * 128 * 256 ** 2;
  t.ok((bytes(128, 256) ?? 0) < strip + result / 4, 'in strips');
  t.ok((bytes(128, 256) ?? 0) > 4 * 36 * (64 * 12 * 2 * 128 + 128 * 128) + result / 6);
  t.equal(bytes(128, 8), undefined, 'a plain convolution');
  t.end();
});
