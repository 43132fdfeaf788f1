import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Arena } from '../../src/planning/arena.js';
import { PlanBackend } from '../../src/planning/plan-backend.js';
import { executionOrder, programMemory } from '../../src/planning/memory.js';
import { PlanSources } from '../../src/planning/sources.js';
import { calibrate, overall, runSeconds, type Speed } from '../../src/planning/speed.js';
import { standIn } from '../../src/planning/stand-in.js';
import { duration, short, size } from '../../src/planning/plan-text.js';
import { openPipeline } from '../../src/formats/pipeline/pipeline-folder.js';
import {
  add,
  attention,
  cast,
  concat,
  cos,
  exp,
  gatherRows,
  gemm,
  matmul,
  mul,
  reshape,
  sin,
  sum,
} from '../../src/tensor/ops.js';
import { grad } from '../../src/tensor/autodiff.js';
import type { DType, HostTensor } from '../../src/tensor/host.js';
import { input, state, weight, type Tensor } from '../../src/tensor/tensor.js';
import { onnxRuntime } from '../fixtures/networks/networks.js';
import { HubServer } from '../fixtures/formats/hub-server.js';

const MIB = 2 ** 20,
  TINY = 'assets/tiny-random-sd';
const silent = { info: () => {}, warn: () => {}, debug: () => {} };
const x = (...shape: number[]): Tensor => input('x', shape);

async function scratch(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'plan-test-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

void t.test('arena: regions of 1 MiB, then twice the last; pages count when they are first written', async (t) => {
  const arena = new Arena(),
    first = arena.allocate(MIB / 2);
  t.equal(arena.residentBytes, 0.5 * MIB);
  arena.release(first);
  arena.allocate(MIB / 4);
  t.equal(arena.residentBytes, 0.5 * MIB, 'the same pages again');
  const large = arena.allocate(3 * MIB);
  t.equal(arena.residentBytes, 3.5 * MIB);
  arena.release(large);
  arena.allocate(4 * MIB);
  t.equal(arena.residentBytes, 4.5 * MIB, 'the region of 4 MiB is taken again, whole');
});

void t.test('arena: the smallest free piece that fits is taken, and free neighbours become one', async (t) => {
  const arena = new Arena(),
    [a, b, c] = [arena.allocate(MIB / 4), arena.allocate(MIB / 4), arena.allocate(MIB / 4)];
  t.strictSame([a.start, b.start, c.start], [0, MIB / 4, MIB / 2]);
  arena.release(c);
  arena.release(a);
  t.equal(arena.allocate(MIB / 4).start, 0, 'not the half that c left with the rest of the region');
  arena.release(b);
  t.equal(arena.allocate((3 * MIB) / 4).start, MIB / 4);
  t.equal(arena.residentBytes, MIB);
});

void t.test('execution order: from the newest result back, the newest operand first', async (t) => {
  const a = sin(x(2)),
    b = cos(x(2)),
    c = exp(a),
    d = add(b, c);
  t.strictSame(
    executionOrder([d, a]).map(({ op }) => op),
    ['input', 'sin', 'exp', 'input', 'cos', 'add'],
  );
});

const VALUE = 4 * 512 * 512; // float32[512,512]

void t.test(
  'memory: a result takes the place of the last dead value of its shape, not that of an operand',
  async (t) => {
    const live = (y: Tensor): number => programMemory({ name: 'p', outputs: { y } }).live / VALUE;
    t.equal(
      live(exp(cos(sin(cos(sin(x(512, 512))))))),
      2,
      'two that alternate; the output takes a place of its own when one of them is dead',
    );
    t.equal(live(x(512, 512)), 1, 'an input that is a result is copied');
    const flat = reshape(sin(x(512, 512)), [512 * 512]);
    t.equal(live(add(cos(flat), flat)), 3, 'a reshape takes nothing');
  },
);

void t.test('memory: a value that is read once more later is kept until then', async (t) => {
  const early = sin(x(512, 512));
  let y = early;
  for (let i = 0; i < 10; i++) y = cos(y);
  t.equal(programMemory({ name: 'p', outputs: { y: add(y, early) } }).live / VALUE, 3);
});

void t.test('memory: weights are mapped, those of 16 bits widened, of a table nothing is read but rows', async (t) => {
  const file = (key: string, offset: number, dtype: DType, shape: number[], bytes: number): Tensor =>
    weight({ key, file: '/w', offset, bytes }, { dtype, shape });
  const half = cast(file('half', 0, 'float16', [64, 64], 8192), 'float32'),
    whole = file('whole', 8192, 'float32', [32, 64], 8192),
    table = file('table', 16_384, 'float32', [1000, 32], 128_000);
  const y = concat(
    [gemm(gemm(x(3, 64), half), whole, undefined, false, true), gatherRows(table, input('rows', [3], 'int32'))],
    1,
  );
  const { mapped, copies } = programMemory({ name: 'p', outputs: { y } });
  t.strictSame([...mapped], [['/w:8192', 8192]]);
  t.equal(copies, 64 * 64 * 4);
});

void t.test('memory: states count by name', async (t) => {
  const moment = state('m', [1000]);
  const { states } = programMemory({
    name: 'p',
    outputs: { y: mul(state('m', [1000]), 2) },
    updates: { m: add(moment, 1) },
  });
  t.strictSame([...states], [['m', 4000]]);
});

void t.test('plan backend: answers with zeros, and counts runs by phase', async (t) => {
  const backend = new PlanBackend(),
    program = await backend.compile({ name: 'product', outputs: { y: matmul(x(2, 3), x(3, 4)) } });
  await backend.count('outer', 10, async () => {
    await program.run({});
    await backend.count('inner', 3, () => program.run({}));
    t.strictSame(await program.run({}), { y: { dtype: 'float32', shape: [2, 4], data: new Float32Array(8) } });
  });
  const [{ name, macs, nodes, runs, fetchedBytes }] = backend.programs;
  t.strictSame(
    { name, macs, nodes, runs: [...runs], fetchedBytes },
    {
      name: 'product',
      macs: 24,
      nodes: 1,
      runs: [
        ['outer', 20],
        ['inner', 3],
      ],
      fetchedBytes: 32,
    },
  );
  await t.rejects(backend.states.read('s'), { message: 'state "s" was never written' });
});

void t.test('time: products by their measured rate, moving by that of memory, and each node', async (t) => {
  const backend = new PlanBackend();
  await backend.compile({ name: 'p', outputs: { y: sin(matmul(x(1000, 1000), x(1000, 1000))) } });
  const [program] = backend.programs;
  const speed: Speed = {
    measured: [{ work: program.work[0], flopsPerSecond: 1e9 }],
    bytesPerSecond: 1e8,
    nodeSeconds: 0.01,
  };
  t.equal(program.work[0].op, 'matmul');
  t.ok(Math.abs(runSeconds(program, speed) - (2 + 0.08 + 0.02)) < 1e-9, '2 GFLOP, 8 MB through sin, two nodes');
  t.equal(overall(speed), 1e9);
});

void t.test('time: a product that was not measured goes at the rate of the one most like it', async (t) => {
  const backend = new PlanBackend();
  for (const n of [10, 1000, 500]) await backend.compile({ name: String(n), outputs: { y: matmul(x(n, n), x(n, n)) } });
  const [small, large, between] = backend.programs;
  const speed: Speed = {
    measured: [
      { work: small.work[0], flopsPerSecond: 1e6 },
      { work: large.work[0], flopsPerSecond: 1e9 },
    ],
    bytesPerSecond: 1e12,
    nodeSeconds: 0,
  };
  t.equal(runSeconds(between, speed), 0.25);
});

void t.test('the gradient of attention needs memory as there are pixels, not as their square', (t) => {
  const live = (pixels: number): number => {
    const [q, k, v] = ['q', 'k', 'v'].map((name) => input(name, [1, pixels, 80]));
    const grads = grad(sum(attention(q, k, v, 2, 1)), [q, k, v]);
    return programMemory({ name: 'p', outputs: { q: grads[0], k: grads[1], v: grads[2] } }).live;
  };
  const [small, large] = [live(4096), live(4 * 4096)];
  t.ok(small > 2 ** 23 && large < 4 * small, `${small} bytes of 4,096 pixels, ${large} of 16,384`);
  t.end();
});

void t.test('calibration measures the products of the job on a backend, and leaves no states behind', async (t) => {
  const planned = new PlanBackend();
  const program = await planned.compile({
    name: 'p',
    outputs: { y: matmul(x(8, 8), x(8, 8)), z: gemm(x(4, 4), x(4, 4)) },
  });
  await planned.count('training', 1, () => program.run({}));
  const backend = onnxRuntime(t),
    written: string[] = [],
    deleted: string[] = [];
  const states = {
    ...backend.states,
    write: (name: string, value: HostTensor) => (written.push(name), backend.states.write(name, value)),
    delete: (name: string) => (deleted.push(name), backend.states.delete(name)),
  };
  const speed = await calibrate(
    { name: 'observed', states, compile: (p) => backend.compile(p), dispose: async () => {} },
    planned.programs,
    1e-9,
  );
  t.strictSame(
    speed.measured.map(({ work }) => work.op),
    ['matmul'],
    'the time is up after the first',
  );
  t.ok(speed.bytesPerSecond > 0 && speed.nodeSeconds >= 0 && speed.measured[0].flopsPerSecond > 0);
  t.strictSame(deleted.sort(), written.sort());
});

void t.test('a stand-in opens as the model it stands for, and takes no space', async (t) => {
  const folder = join(await scratch(t), 'hollow');
  await standIn(TINY, folder, (component) => (component === 'vae' ? 'float32' : 'float16'));
  const [real, hollow] = [await openPipeline(TINY), await openPipeline(folder)];
  t.strictSame(
    [...hollow.unet.weights.entries.values()].map(({ name, shape }) => [name, shape]).sort(),
    [...real.unet.weights.entries.values()].map(({ name, shape }) => [name, shape]).sort(),
  );
  t.equal(hollow.unet.weights.entries.get('conv_in.weight')?.dtype, 'float16');
  t.equal(hollow.vae.weights.entries.get('quant_conv.weight')?.dtype, 'float32');
  t.strictSame((await hollow.unet.weights.read('conv_in.bias')).data, new Uint16Array(16));
  const { size, blocks } = await stat(join(folder, 'unet', 'diffusion_pytorch_model.safetensors'));
  t.ok(size > 1e6 && blocks * 512 < size / 4, `${size} bytes, ${blocks * 512} on disk`);
});

void t.test('of a model on the hub only the configs are fetched, of pictures a handful', async (t) => {
  const server = new HubServer(),
    path = await scratch(t);
  process.env.HF_ENDPOINT = await server.start();
  process.env.HF_HUB_CACHE = join(path, 'cache');
  t.teardown(() => {
    delete process.env.HF_ENDPOINT;
    delete process.env.HF_HUB_CACHE;
    return server.stop();
  });
  const text = async (name: string): Promise<Record<string, Buffer>> => ({ [name]: await readFile(join(TINY, name)) });
  const files = [
    'model_index.json',
    'unet/config.json',
    'vae/config.json',
    'text_encoder/config.json',
    'scheduler/scheduler_config.json',
    'tokenizer/vocab.json',
    'tokenizer/merges.txt',
    'tokenizer/tokenizer_config.json',
    'tokenizer/special_tokens_map.json',
  ];
  const configs = Object.assign({}, ...(await Promise.all(files.map(text)))) as Record<string, Buffer>;
  server.add('models/owner/sd', {
    ...configs,
    'unet/diffusion_pytorch_model.safetensors': Buffer.alloc(60e6),
    'vae/diffusion_pytorch_model.safetensors': Buffer.alloc(90_000),
    'text_encoder/model.safetensors': Buffer.alloc(54_000),
  });
  server.add('datasets/owner/few', { 'a.png': await readFile('assets/dog-drawings/01-meadow.png') });
  server.add('datasets/owner/many', { 'a.png': Buffer.alloc(30e6), 'b.png': Buffer.alloc(30e6) });

  const sources = new PlanSources(join(path, 'plan'), silent),
    folder = await sources.model('owner/sd');
  t.strictSame(
    server.downloads().filter((name) => /safetensors/.test(name)),
    [],
  );
  t.strictSame(
    sources.downloads.map(({ id }) => id),
    ['owner/sd'],
  );
  t.ok(sources.downloads[0].bytes > 60e6);
  const { unet, vae } = await openPipeline(folder);
  t.equal(
    unet.weights.entries.get('conv_in.weight')?.dtype,
    'float32',
    '60 MB for half a million values are not 16 bits each',
  );
  t.equal(vae.weights.entries.get('quant_conv.weight')?.dtype, 'float16');
  t.equal(await sources.model('owner/sd'), folder, 'once');
  t.equal(await sources.model(TINY), TINY, 'a folder is what it is');

  t.match(await sources.dataset('owner/few'), /owner--few/);
  await t.rejects(sources.dataset('owner/many'), {
    name: 'UserError',
    message: /owner\/many: these pictures are not here, and 0\.1 GB are too much to fetch for a plan/,
  });
  await t.rejects(sources.model('owner/none'), { name: 'UserError', message: /has no model of that name/ });
});

void t.test('numbers are short', async (t) => {
  t.strictSame([0, 999, 1000, 12_345, 578_939_000_000, 1.2e15].map(short), [
    '0',
    '999',
    '1.00 K',
    '12.3 K',
    '579 G',
    '1.20 P',
  ]);
  t.strictSame([1e5, 5e6, 3 * 2 ** 30, 2e11].map(size), ['0.1 MiB', '5 MiB', '3.00 GiB', '186.3 GiB']);
  t.strictSame([0.0021, 0.25, 3.891, 68, 900, 40 * 3600, 90 * 86_400].map(duration), [
    '2.1 ms',
    '250 ms',
    '3.89 s',
    '68 s',
    '15 min',
    '40.0 h',
    '90.0 days',
  ]);
});
