import { execFile } from 'node:child_process';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import type { Program } from '../../src/backends/backend.js';
import { OnnxRuntimeBackend } from '../../src/backends/onnxruntime/onnxruntime-backend.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { emitProgram } from '../../src/backends/onnx/emit.js';
import { float32, floats, scalar, type HostTensor } from '../../src/tensor/host.js';
import { add, cast, gatherRows, mul } from '../../src/tensor/ops.js';
import { constant, input, parameter, state, weight, type WeightSource } from '../../src/tensor/tensor.js';

const open = (scratch_dir: string | null = null): OnnxRuntimeBackend =>
  new OnnxRuntimeBackend({ device: 'cpu', intra_op_num_threads: 1, graph_optimization_level: 'extended', scratch_dir });
const backend = open(),
  reference = new ReferenceBackend({});
t.teardown(() => backend.dispose());

void t.test('leaves, and one tensor under two names, can be results', async (t) => {
  const x = input('x', [2]),
    s = state('s', []),
    c = constant(float32([3, 4], [2]));
  const w = weight({ key: 'w', value: scalar(9) }, { dtype: 'float32', shape: [] });
  const y = add(x, c);
  await backend.states.write('s', scalar(7));
  const program = await backend.compile({
    name: 'leaves',
    outputs: { x, again: x, s, c, w, y, too: y },
    updates: { s: w, next: y, fed: x },
  });
  const { x: fed, ...rest } = await program.run({ x: float32([1, 2], [2]) });
  t.strictSame(fed, float32([1, 2], [2]));
  t.strictSame(
    Object.entries(rest).map(([name, { data }]) => `${name} ${data}`),
    ['again 1,2', 's 7', 'c 3,4', 'w 9', 'y 4,6', 'too 4,6'],
  );
  const states = await Promise.all(['s', 'next', 'fed'].map((name) => backend.states.read(name)));
  t.strictSame(
    states.map(({ data }) => `${data}`),
    ['9', '4,6', '1,2'],
  );
});

void t.test('updates are computed from the old values of all states', async (t) => {
  const [a, b] = [state('a', []), state('b', [])];
  await backend.states.write('a', scalar(1));
  await backend.states.write('b', scalar(2));
  await (await backend.compile({ name: 'swap', outputs: {}, updates: { a: b, b: a } })).run({});
  t.strictSame([floats(await backend.states.read('a'))[0], floats(await backend.states.read('b'))[0]], [2, 1]);
});

void t.test('what is asked without waiting is done in order', async (t) => {
  const count = state('count', []);
  const program = await backend.compile({ name: 'count', outputs: { count }, updates: { count: add(count, 1) } });
  const write = backend.states.write('count', scalar(5));
  const runs = await Promise.all([program.run({}), program.run({}), program.run({})]);
  await write;
  t.strictSame(
    runs.map((r) => r.count.data[0]),
    [5, 6, 7],
  );
});

void t.test('weights in memory with one key stay apart when their values or shapes differ', async (t) => {
  const named = (value: HostTensor): WeightSource => ({ key: 'down', value });
  const four = named(float32([1, 2, 3, 4], [4])),
    x = input('x', []);
  const of = (source: WeightSource, shape: number[]) => mul(weight(source, { dtype: 'float32', shape }), x);
  const program = await backend.compile({
    name: 'adapters',
    outputs: {
      one: of(named(scalar(1)), []),
      five: of(named(scalar(5)), []),
      flat: of(four, [4]),
      square: of(four, [2, 2]),
    },
  });
  const { one, five, flat, square } = await program.run({ x: scalar(2) });
  t.strictSame([one.data[0], five.data[0]], [2, 10]);
  t.strictSame([flat, square], [float32([2, 4, 6, 8], [4]), float32([2, 4, 6, 8], [2, 2])]);
});

void t.test('a weight that is read in two shapes is in the model once, unless it is to be widened', async (t) => {
  const dir = t.testdir({ 'w.bin': '' }),
    file = join(dir, 'w.bin');
  await writeFile(file, Float32Array.of(1, 2, 3, 4, 5, 6));
  const inShape = (shape: number[]) => weight({ key: 'w', file, offset: 0, bytes: 24 }, { dtype: 'float32', shape });
  const x = input('x', []),
    program: Program = {
      name: 'two shapes',
      outputs: { wide: mul(inShape([2, 3]), x), long: mul(inShape([3, 2]), x), flat: add(mul(inShape([3, 2]), 10), x) },
    };
  const mapped = (of: Program): number =>
    Buffer.from(emitProgram(of, () => 'w.bin').model)
      .toString('latin1')
      .split('location').length - 1;
  t.equal(mapped(program), 1);
  const fetched = await (await backend.compile(program)).run({ x: scalar(2) });
  t.strictSame(fetched, {
    wide: float32([2, 4, 6, 8, 10, 12], [2, 3]),
    long: float32([2, 4, 6, 8, 10, 12], [3, 2]),
    flat: float32([12, 22, 32, 42, 52, 62], [3, 2]),
  });
  const half = (shape: number[]) =>
    cast(weight({ key: 'h', file, offset: 0, bytes: 12 }, { dtype: 'float16', shape }), 'float32');
  t.equal(
    mapped({ name: 'halves', outputs: { wide: half([2, 3]), long: half([3, 2]) } }),
    2,
    'a copy of each is made once, when the program is loaded',
  );
});

void t.test("feeds stay the caller's: views, bytes of a Buffer, and arrays that change afterwards", async (t) => {
  const program = await backend.compile({
    name: 'echo',
    outputs: { x: input('x', [2]), bytes: input('bytes', [3], 'uint8') },
  });
  const all = Float32Array.of(0, 1, 2, 3),
    x = { dtype: 'float32', shape: [2], data: all.subarray(1, 3) } as const;
  const bytes = { dtype: 'uint8', shape: [3], data: Buffer.from('abc') } as const;
  const running = program.run({ x, bytes, unread: scalar(1) });
  all.fill(9);
  const fetched = await running;
  t.strictSame([...floats(fetched.x), ...fetched.bytes.data], [1, 2, 97, 98, 99]);
  t.strictSame([all.length, bytes.data.toString()], [4, 'abc'], 'nothing was taken from the caller');
  t.equal(fetched.x.data.buffer.byteLength, 8, 'a result has a buffer of its own');
  await backend.states.write('kept', x);
  t.strictSame(
    [...floats(await backend.states.read('kept')), ...floats(await backend.states.read('kept'))],
    [9, 9, 9, 9],
  );
});

void t.test('states are read back as they were written', async (t) => {
  const values = [
    { dtype: 'float16', shape: [2], data: Uint16Array.of(0x3e00, 0xc000) },
    { dtype: 'int64', shape: [2], data: BigInt64Array.of(-3n, 2n ** 31n) },
    { dtype: 'int32', shape: [2], data: Int32Array.of(-3, 4) },
    { dtype: 'uint8', shape: [2], data: Uint8Array.of(0, 255) },
    { dtype: 'bool', shape: [2], data: Uint8Array.of(0, 1) },
  ] as const satisfies HostTensor[];
  for (const b of [backend, reference])
    for (const value of values) {
      await b.states.write('y', value);
      t.strictSame(await b.states.read('y'), value, `${b.name} ${value.dtype}`);
    }
  const bfloat16 = { dtype: 'bfloat16', shape: [2], data: Uint16Array.of(0x4040, 0xbf00) } as const;
  await reference.states.write('y', bfloat16);
  t.strictSame(await reference.states.read('y'), bfloat16);
  await t.rejects(backend.states.write('y', bfloat16), { message: 'Unsupported tensor type: bfloat16.' });
});

void t.test('errors name the program, and the primitive with its shapes', async (t) => {
  const gather = await backend.compile({
    name: 'tokens',
    outputs: { y: gatherRows(input('table', [3, 4]), input('ids', [2], 'int32')) },
  });
  const table = float32(new Float32Array(12), [3, 4]);
  await t.rejects(gather.run({ table, ids: { dtype: 'int32', shape: [2], data: Int32Array.of(0, 7) } }), {
    message:
      /^onnxruntime cpu: program "tokens": gatherRows\(float32\[3,4\], int32\[2\]\) -> float32\[2,4\]: .*Gather node.* idx=7/,
  });
  await t.rejects(gather.run({ table }), {
    message: 'onnxruntime cpu: program "tokens": input "ids" was not fed; fed: table',
  });
  await t.rejects(gather.run({ table, ids: float32([0, 1], [2]) }), {
    message: /program "tokens": Unexpected input data type/,
  });
  await t.rejects(backend.compile({ name: 'unbound', outputs: { p: parameter('lora', [2]) } }), {
    message: 'onnxruntime cpu: program "unbound": emit: parameter "lora" is not bound to a state',
  });
  await t.rejects(backend.compile({ name: 'clash', outputs: { a: input('x', [2]), b: input('x', [3]) } }), {
    message: 'onnxruntime cpu: program "clash": emit: "in:x" is used as float32[2] and as float32[3]',
  });
  t.strictSame(
    floats((await gather.run({ table, ids: { dtype: 'int32', shape: [2], data: Int32Array.of(0, 2) } })).y),
    new Float32Array(8),
    'it runs on after an error',
  );
});

void t.test('a feed that cannot be sent fails alone', async (t) => {
  const own = open();
  const program = await own.compile({ name: 'detached', outputs: { y: add(input('x', [2]), 1) } });
  const data = new Float32Array(2);
  structuredClone(data, { transfer: [data.buffer] });
  await t.rejects(program.run({ x: { dtype: 'float32', shape: [2], data } }), {
    message: /program "detached": .*detached ArrayBuffer/,
  });
  t.strictSame(floats((await program.run({ x: float32([1, 2], [2]) })).y), Float32Array.of(2, 3));
  await own.dispose();
});

void t.test('dispose waits for what runs, may be called twice, and ends the backend', async (t) => {
  const own = open();
  const program = await own.compile({ name: 'late', outputs: { y: mul(input('x', []), 2) } });
  const running = program.run({ x: scalar(4) });
  await Promise.all([own.dispose(), own.dispose()]);
  t.equal((await running).y.data[0], 8);
  await t.rejects(program.run({ x: scalar(4) }), {
    message: 'onnxruntime cpu: program "late": onnxruntime cpu: the backend was disposed',
  });
  await own.dispose();
});

void t.test('a program that was disposed does not run; the others do', async (t) => {
  const [first, second] = await Promise.all(
    [1, 2].map((by) => backend.compile({ name: `by ${by}`, outputs: { y: mul(input('x', []), by) } })),
  );
  await first.dispose();
  await t.rejects(first.run({ x: scalar(3) }), {
    message: 'onnxruntime cpu: program "by 1": the program was disposed',
  });
  await first.dispose();
  t.equal((await second.run({ x: scalar(3) })).y.data[0], 6);
});

void t.test('compiled programs leave nothing on disk, neither do those that fail', async (t) => {
  const dir = t.testdir({ 'a.bin': '', 'b.bin': '', scratch: {} }),
    scratch = join(dir, 'scratch');
  await writeFile(join(dir, 'a.bin'), Float32Array.of(1, 2));
  await writeFile(join(dir, 'b.bin'), Buffer.alloc(6));
  const of = (name: string) =>
    weight({ key: name, file: join(dir, name), offset: 0, bytes: 8 }, { dtype: 'float32', shape: [2] });
  const own = open(scratch);
  const program = await own.compile({ name: 'whole', outputs: { y: mul(of('a.bin'), input('x', [])) } });
  t.strictSame(floats((await program.run({ x: scalar(3) })).y), Float32Array.of(3, 6));
  await t.rejects(own.compile({ name: 'cut', outputs: { y: mul(of('b.bin'), input('x', [])) } }), {
    message: /^onnxruntime cpu: program "cut": .*b\.bin.* file_length: 6/s,
  });
  await t.rejects(own.compile({ name: 'gone', outputs: { y: of('c.bin') } }), {
    message: /^onnxruntime cpu: program "gone": ENOENT.*c\.bin/,
  });
  await own.dispose();
  t.strictSame(await readdir(scratch), []);
  t.strictSame((await stat(join(dir, 'a.bin'))).nlink, 1, 'no hard link is left');
});

const shm = await stat('/dev/shm').catch(() => undefined);
const apart = shm !== undefined && shm.dev !== (await stat('.')).dev;
void t.test('weights on two file systems are copied', { skip: apart ? false : 'one file system only' }, async (t) => {
  const dir = t.testdir(),
    { mkdtemp, rm } = await import('node:fs/promises');
  const other = await mkdtemp('/dev/shm/diffengine-test-');
  t.teardown(() => rm(other, { recursive: true }));
  // The same file name in both: they must not take each other's place.
  const files = [join(dir, 'w.bin'), join(other, 'w.bin')];
  await Promise.all(files.map((file, i) => writeFile(file, Float32Array.of(i + 1))));
  const [a, b] = files.map((file, i) =>
    weight({ key: `w${i}`, file, offset: 0, bytes: 4 }, { dtype: 'float32', shape: [] }),
  );
  const program = await backend.compile({ name: 'apart', outputs: { y: add(mul(a, 10), b), x: input('x', []) } });
  t.equal((await program.run({ x: scalar(0) })).y.data[0], 12);
  t.strictSame([await readdir(dir), await readdir(other)], [['w.bin'], ['w.bin']], 'nothing is left beside them');
});

void t.test(
  'equal literals and equal weights are in the model once, and external data is where the file has it',
  (t) => {
    const file = '/models/unet.safetensors',
      source = { key: 'big', file, offset: 123, bytes: 4000 };
    const w = () => weight(source, { dtype: 'float32', shape: [1000] });
    const ones = () => constant(float32(new Float32Array(1000).fill(1), [1000]));
    const { model, inputs, states, outputs, updates } = emitProgram(
      {
        name: 'small',
        outputs: { y: add(mul(w(), ones()), mul(w(), ones())), x: input('x', [2, 3]) },
        updates: { s: state('s', [4]) },
      },
      () => '0-unet.safetensors',
    );
    t.strictSame(
      { inputs, states, outputs, updates },
      {
        inputs: [{ name: 'in:x', dtype: 'float32', shape: [2, 3] }],
        states: [{ name: 's', graphName: 'state:s' }],
        outputs: [
          { name: 'y', dtype: 'float32', shape: [1000], graphName: 'out:y', graphShape: [1000] },
          { name: 'x', dtype: 'float32', shape: [2, 3], graphName: 'out:x', graphShape: [2, 3] },
        ],
        updates: [{ name: 's', dtype: 'float32', shape: [4], graphName: 'new:s', graphShape: [4] }],
      },
    );
    const text = Buffer.from(model).toString('latin1');
    t.equal(text.split('0-unet.safetensors').length, 2, 'one external tensor');
    t.ok(model.length > 4000 && model.length < 5000, `one literal of 4000 bytes: ${model.length}`);
    for (const [key, value] of [
      ['location', '0-unet.safetensors'],
      ['offset', '123'],
      ['length', '4000'],
    ]) {
      // StringStringEntryProto: key is field 1, value field 2
      t.ok(
        text.includes(`\x0a${String.fromCharCode(key.length)}${key}\x12${String.fromCharCode(value.length)}${value}`),
        key,
      );
    }
    t.end();
  },
);

/** Runs lines in a process of their own, with `open` and `graph` (symbolic tensors) at hand; what they print. */
async function separately(lines: string): Promise<string> {
  const imported = (path: string): string => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
  const code = `
    import { readdirSync } from 'node:fs';
    import { OnnxRuntimeBackend } from ${imported('backends/onnxruntime/onnxruntime-backend.js')};
    import * as graph from ${imported('tensor/tensor.js')};
    const open = (scratch_dir = null) => new OnnxRuntimeBackend({ device: 'cpu', intra_op_num_threads: 1, graph_optimization_level: 'extended', scratch_dir });
    ${lines}`;
  return (await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { timeout: 20_000 })).stdout;
}

void t.test('a worker that ends fails what waits for it, and an idle backend lets the process end', async (t) => {
  t.equal(
    await separately(`
    const idle = open(), crashed = open();
    const program = await idle.compile({ name: 'idle', outputs: {}, updates: { b: graph.state('a', []) } });
    await idle.states.write('a', { dtype: 'float32', shape: [], data: Float32Array.of(1) });
    await program.run({});
    await crashed.states.write('y', { dtype: 'float32', shape: [], data: Float32Array.of(1) }); // it has loaded the runtime
    crashed.worker.terminate(); // first, or the worker may have answered before it ends
    await crashed.states.read('x').catch((error) => console.log(error.message));
    await crashed.states.read('x').catch((error) => console.log(error.message));
  `),
    'onnxruntime cpu: the worker thread ended with code 1\n'.repeat(2),
  );
});

void t.test('a process that exits while a program compiles leaves nothing on disk', async (t) => {
  const scratch = t.testdir();
  const seen = await separately(`
    const scratch = ${JSON.stringify(scratch)};
    void open(scratch).compile({ name: 'unfinished', outputs: { x: graph.input('x', [2]) } });
    const look = () => readdirSync(scratch).length > 0 ? (console.log('compiling'), process.exit(0)) : setImmediate(look);
    look();
  `);
  t.equal(seen, 'compiling\n');
  t.strictSame(await readdir(scratch), []);
});

/** Exit code and output of a process that opens a backend, waits, and does what is asked. */
const opened = (waitMs: number, then: string): Promise<string> => {
  const script = `import { OnnxRuntimeBackend } from ${JSON.stringify(new URL('../../src/backends/onnxruntime/onnxruntime-backend.js', import.meta.url).href)};
    const backend = new OnnxRuntimeBackend({ device: 'cpu', intra_op_num_threads: 1, graph_optimization_level: 'extended', scratch_dir: null });
    await new Promise((done) => setTimeout(done, ${waitMs}));
    ${then}`;
  return promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 }).then(
    ({ stdout, stderr }) => stdout + stderr,
    (error: Error) => error.message,
  );
};

void t.test('a backend that is disposed of while the runtime loads does not take the process with it', async (t) => {
  for (const waitMs of [0, 15, 25, 30, 35, 40, 60])
    t.equal(
      await opened(waitMs, "await backend.dispose(); console.log('disposed');"),
      'disposed\n',
      `after ${waitMs} ms`,
    );
});

void t.test('a backend that nobody disposes of does not keep the process alive', async (t) => {
  for (const waitMs of [0, 40, 200])
    t.equal(await opened(waitMs, "console.log('end');"), 'end\n', `after ${waitMs} ms`);
});
