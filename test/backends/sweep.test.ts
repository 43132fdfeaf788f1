import t from 'tap';
import { OnnxRuntimeBackend } from '../../src/backends/onnxruntime/onnxruntime-backend.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { TfjsBackend } from '../../src/backends/tfjs/tfjs-backend.js';
import { float32, floats, scalar } from '../../src/tensor/host.js';
import { add, cast, mul } from '../../src/tensor/ops.js';
import { primitives } from '../../src/tensor/primitive.js';
import { input, state, weight } from '../../src/tensor/tensor.js';
import { relativeError } from '../../src/checking/sample-inputs.js';
import { valueSweep } from '../../src/checking/sweep-programs.js';

const onnx = new OnnxRuntimeBackend({
  device: 'cpu',
  intra_op_num_threads: 1,
  graph_optimization_level: 'extended',
  scratch_dir: null,
});
const reference = new ReferenceBackend({});
const tfjs = new TfjsBackend(
  { device: 'cpu' },
  { info: () => undefined, warn: () => undefined, debug: () => undefined },
);
t.teardown(() => onnx.dispose());

void t.test('every primitive has samples, and ONNX Runtime agrees with the reference on each', async (t) => {
  for (const [name, rule] of primitives()) t.ok(rule.samples.length > 0, `${name} has samples`);
  const { program, feeds } = valueSweep();
  const [got, wanted] = [
    await (await onnx.compile(program)).run(feeds),
    await (await reference.compile(program)).run(feeds),
  ];
  for (const key of Object.keys(program.outputs)) {
    t.strictSame(got[key].shape, wanted[key].shape, `${key} shape`);
    const error = relativeError(got[key].data as Float32Array, wanted[key].data as Float32Array);
    t.ok(error < 1e-5, `${key}: ${error}`);
  }
});

for (const [name, backend] of Object.entries({ onnx, reference, tfjs })) {
  void t.test(`${name}: states persist between runs and are shared by programs`, async (t) => {
    const counter = state('counter', [2]);
    const step = await backend.compile({
      name: 'step',
      outputs: { before: counter },
      updates: { counter: add(counter, input('by', [])) },
    });
    const twice = await backend.compile({ name: 'twice', outputs: { doubled: mul(counter, 2) } });
    await backend.states.write('counter', float32([1, 5], [2]));
    t.strictSame(floats((await step.run({ by: scalar(10) })).before), Float32Array.of(1, 5));
    await step.run({ by: scalar(100) });
    t.strictSame(floats((await twice.run({})).doubled), Float32Array.of(222, 230));
    t.strictSame(floats(await backend.states.read('counter')), Float32Array.of(111, 115));
    await backend.states.delete('counter');
    await t.rejects(backend.states.read('counter'), { message: /state "counter" was never written/ });
  });

  void t.test(`${name}: weights are read in place from a file, at odd offsets, in 32 and 16 bits`, async (t) => {
    const file = `${t.testdir()}/weights.bin`;
    const { writeFile } = await import('node:fs/promises');
    // 3 stray bytes, two float32, 1 stray byte, float16 1.5 and -2, bfloat16 3 and -0.5
    await writeFile(
      file,
      Buffer.concat([
        Buffer.alloc(3),
        Buffer.from(Float32Array.of(7, -8).buffer),
        Buffer.alloc(1),
        Buffer.from(Uint16Array.of(0x3e00, 0xc000).buffer),
        Buffer.from(Uint16Array.of(0x4040, 0xbf00).buffer),
      ]),
    );
    const f32 = weight({ key: 'f32', file, offset: 3, bytes: 8 }, { dtype: 'float32', shape: [2] });
    const f16 = weight({ key: 'f16', file, offset: 12, bytes: 4 }, { dtype: 'float16', shape: [2] });
    const bf16 = weight({ key: 'bf16', file, offset: 16, bytes: 4 }, { dtype: 'bfloat16', shape: [2] });
    const x = input('x', []);
    const program = await backend.compile({
      name: 'weights',
      outputs: { a: mul(f32, x), b: mul(cast(f16, 'float32'), x), c: mul(cast(bf16, 'float32'), x), leaf: f32 },
    });
    const { a, b, c, leaf } = await program.run({ x: scalar(2) });
    t.strictSame([...floats(a), ...floats(b), ...floats(c), ...floats(leaf)], [14, -16, 3, -4, 6, -1, 7, -8]);
  });

  void t.test(`${name}: a missing feed is named`, async (t) => {
    const program = await backend.compile({ name: 'needs x', outputs: { y: mul(input('x', []), 2) } });
    await t.rejects(program.run({}), { message: /input "x" was not fed/ });
  });
}

void t.test('ONNX Runtime errors name the program', async (t) => {
  const broken = await onnx.compile({ name: 'mismatch', outputs: { y: add(input('x', [2]), input('z', [2])) } });
  await t.rejects(broken.run({ x: float32([1, 2, 3], [3]), z: float32([1, 2], [2]) }), {
    message: /program "mismatch"/,
  });
});
