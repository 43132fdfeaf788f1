import t, { type Test } from 'tap';
import { OnnxRuntimeBackend } from '../../src/backends/onnxruntime/onnxruntime-backend.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { loadNative, NATIVE_PACKAGES } from '../../src/backends/tfjs/runtime.js';
import { TfjsBackend } from '../../src/backends/tfjs/tfjs-backend.js';
import type { Backend } from '../../src/backends/backend.js';
import { float32, floats, int32, scalar } from '../../src/tensor/host.js';
import { add, attention, cast, gatherRows, layerNorm, matmul, mul, sum, sqrt, square } from '../../src/tensor/ops.js';
import { constant, fill, input, state, weight } from '../../src/tensor/tensor.js';
import { relativeError } from '../../src/checking/sample-inputs.js';
import { gradientSweep, valueSweep, type Sweep } from '../../src/checking/sweep-programs.js';
import * as tf from '@tensorflow/tfjs-core';

const lines: string[] = [];
const log = {
  info: (line: string) => void lines.push(line),
  warn: (line: string) => void lines.push(`warning: ${line}`),
  debug: () => undefined,
};
const onnx = new OnnxRuntimeBackend({
  device: 'cpu',
  intra_op_num_threads: 1,
  graph_optimization_level: 'extended',
  scratch_dir: null,
});
const reference = new ReferenceBackend({});
t.teardown(() => onnx.dispose());

/** What the package says when it does not load; false when it does. */
async function nativeMissing(): Promise<string | false> {
  const loads = await Promise.all(NATIVE_PACKAGES.map(loadNative));
  if (loads.some(({ module }) => module)) return false;
  return loads.map(({ name, failure }) => `${name} ${failure ?? 'is not installed'}`).join(', ');
}

async function compare(t: Test, backend: Backend, { program, feeds }: Sweep): Promise<void> {
  const run = async (b: Backend) => (await b.compile(program)).run(feeds);
  const got = await run(backend),
    peers = { reference: await run(reference), onnx: await run(onnx) };
  for (const key of Object.keys(program.outputs))
    for (const [peer, wanted] of Object.entries(peers)) {
      t.strictSame(got[key].shape, wanted[key].shape, `${key} has the shape of ${peer}`);
      const error = relativeError(floats(got[key]), floats(wanted[key]));
      t.ok(error < 1e-5, `${key} against ${peer}: ${error}`);
    }
}

for (const [device, skip] of [
  ['cpu', false],
  ['auto', await nativeMissing()],
] as const) {
  const on = device === 'cpu' ? 'plain JavaScript' : 'TensorFlow';
  void t.test(
    `on ${on}, every primitive and every gradient agrees with the reference and ONNX Runtime`,
    { skip },
    async (t) => {
      const backend = new TfjsBackend({ device }, log);
      await compare(t, backend, valueSweep());
      await compare(t, backend, gradientSweep());
      await backend.dispose();
    },
  );
}

void t.test('1,000 training steps hold the same number of tensors, and dispose frees them all', async (t) => {
  const before = tf.memory().numTensors,
    bytes = tf.memory().numBytes;
  const backend = new TfjsBackend({ device: 'cpu' }, log);
  const w = state('w', [4, 4]),
    m = state('m', [4, 4]),
    x = input('x', [2, 4]);
  const table = weight(
    { key: 'table', value: { dtype: 'float16', shape: [3, 4], data: new Uint16Array(12).fill(0x3c00) } },
    { dtype: 'float16', shape: [3, 4] },
  );
  const y = layerNorm(
    matmul(add(x, gatherRows(cast(table, 'float32'), constant(int32([2, 0], [2])))), w),
    fill(1, [4]),
    undefined,
    1e-5,
  );
  const next = add(mul(m, 0.9), matmul(x, y, true));
  const program = await backend.compile({
    name: 'step',
    outputs: { norm: sqrt(sum(square(y))), w },
    updates: { w: add(w, mul(next, 0.01)), m: next },
  });
  await backend.states.write(
    'w',
    float32(
      Float32Array.from({ length: 16 }, (_, i) => Math.sin(i)),
      [4, 4],
    ),
  );
  await backend.states.write('m', float32(new Float32Array(16), [4, 4]));
  const run = (i: number) => program.run({ x: float32([1, 2, 3, Math.cos(i), 0, i % 5, 2, 1], [2, 4]) });
  await run(0);
  const { numTensors, numBytes } = tf.memory();
  for (let i = 1; i < 1000; i++) await run(i);
  t.strictSame({ numTensors: tf.memory().numTensors, numBytes: tf.memory().numBytes }, { numTensors, numBytes });
  await t.rejects(program.run({}), { message: /input "x" was not fed/ });
  t.equal(tf.memory().numTensors, numTensors, 'a run that fails frees what it had computed');
  await backend.dispose();
  t.strictSame([tf.memory().numTensors, tf.memory().numBytes], [before, bytes]);
  await t.rejects(program.run({}), { message: 'tfjs cpu: program "step": tfjs cpu: the backend was disposed' });
});

void t.test('weights are on the device once for all programs, and go with the last of them', async (t) => {
  const backend = new TfjsBackend({ device: 'cpu' }, log);
  const source = { key: 'w', value: float32(new Float32Array(1000), [1000]) };
  const program = (shape: number[]) =>
    backend.compile({ name: 'w', outputs: { y: mul(weight(source, { dtype: 'float32', shape }), input('x', [])) } });
  const { numDataBuffers } = tf.memory();
  const [flat, square] = [await program([1000]), await program([10, 100])];
  t.equal(tf.memory().numDataBuffers, numDataBuffers + 1);
  await flat.dispose();
  t.equal(tf.memory().numDataBuffers, numDataBuffers + 1);
  await square.dispose();
  t.equal(tf.memory().numDataBuffers, numDataBuffers);
  await backend.dispose();
});

void t.test('updates are computed from the old values of all states', async (t) => {
  const backend = new TfjsBackend({ device: 'cpu' }, log);
  const [a, b] = [state('a', []), state('b', [])];
  await backend.states.write('a', scalar(1));
  await backend.states.write('b', scalar(2));
  const swap = await backend.compile({ name: 'swap', outputs: {}, updates: { a: b, b: a } });
  await swap.run({});
  t.strictSame([floats(await backend.states.read('a'))[0], floats(await backend.states.read('b'))[0]], [2, 1]);
  await backend.dispose();
});

void t.test('what was written is a copy, and 16-bit and 64-bit states are read back as written', async (t) => {
  const backend = new TfjsBackend({ device: 'cpu' }, log),
    data = Float32Array.of(1, 2);
  await backend.states.write('x', float32(data, [2]));
  data[0] = 9;
  t.strictSame(floats(await backend.states.read('x')), Float32Array.of(1, 2));
  for (const value of [
    { dtype: 'float16' as const, shape: [2], data: Uint16Array.of(0x3e00, 0xc000) },
    { dtype: 'bfloat16' as const, shape: [2], data: Uint16Array.of(0x4040, 0xbf00) },
    { dtype: 'int64' as const, shape: [2], data: BigInt64Array.of(-3n, 2n ** 31n - 1n) },
    { dtype: 'uint8' as const, shape: [2], data: Uint8Array.of(0, 255) },
    { dtype: 'bool' as const, shape: [2], data: Uint8Array.of(0, 1) },
  ]) {
    await backend.states.write('y', value);
    t.strictSame(await backend.states.read('y'), value, value.dtype);
  }
  await t.rejects(backend.states.write('y', { dtype: 'int64', shape: [1], data: BigInt64Array.of(2n ** 31n) }), {
    message: 'tfjs: 2147483648 does not fit in 32 bits; TensorFlow.js has no int64',
  });
  await backend.dispose();
});

void t.test('an operation that fails is named with its shapes and the program', async (t) => {
  const backend = new TfjsBackend({ device: 'cpu' }, log);
  const broken = await backend.compile({ name: 'mismatch', outputs: { y: add(input('x', [2]), input('z', [2])) } });
  await t.rejects(broken.run({ x: float32([1, 2, 3], [3]), z: float32([1, 2], [2]) }), {
    message: /^tfjs cpu: program "mismatch": add\(float32\[2\], float32\[2\]\) -> float32\[2\]: /,
  });
  await backend.dispose();
});

void t.test('attention in blocks gives what one block gives', async (t) => {
  const backend = new TfjsBackend({ device: 'cpu' }, log);
  const values = (n: number, phase: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * 0.37 + phase));
  // 3 heads of 1024 x 1024 probabilities are more than one block.
  const shape = [1, 1024, 6],
    feeds = {
      q: float32(values(6144, 0), shape),
      k: float32(values(6144, 1), shape),
      v: float32(values(6144, 2), shape),
    };
  const program = {
    name: 'attention',
    outputs: { y: attention(input('q', shape), input('k', shape), input('v', shape), 3, 0.7) },
  };
  const run = async (b: Backend) => floats((await (await b.compile(program)).run(feeds)).y);
  const error = relativeError(await run(backend), await run(onnx));
  t.ok(error < 1e-5, String(error));
  await backend.dispose();
});

void t.test('the log says what computes, and a device that is not there is refused', async (t) => {
  t.match(
    lines[0],
    /^computing {2}with TensorFlow\.js 4\.\d+\.\d+ in plain JavaScript, tens of times slower than ONNX Runtime; "diffengine doctor" says how/,
  );
  const webgpu = new TfjsBackend({ device: 'webgpu' }, log);
  await t.rejects(webgpu.states.read('x'), {
    name: 'UserError',
    message:
      'TfjsBackend.device: webgpu, but @tensorflow/tfjs-backend-webgpu is not installed; install it, or choose auto or cpu',
  });
  if ((await Promise.all(NATIVE_PACKAGES.map(loadNative))).some(({ gpu }) => gpu)) return;
  const gpu = new TfjsBackend({ device: 'gpu' }, log);
  await t.rejects(gpu.states.read('x'), {
    name: 'UserError',
    message:
      /^TfjsBackend\.device: gpu, but @tensorflow\/tfjs-node-gpu .+, @tensorflow\/tfjs-node .+; see docs\/backends\.md, or choose auto or cpu$/,
  });
});
