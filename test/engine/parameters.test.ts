/** How trainable parameters lie in backend states. */
import t from 'tap';
import { Parameters } from '../../src/engine/parameters.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { float32, floats, type HostTensor } from '../../src/tensor/host.js';
import { Rng } from '../../src/base/rng.js';
import { input } from '../../src/tensor/tensor.js';

const SHAPES = new Map([
  ['a', [300, 300]],
  ['large', [1024, 1025]],
  ['b', [50_001]],
  ['c', []],
]);
const values = (): Record<string, HostTensor> =>
  Object.fromEntries(
    [...SHAPES].map(([name, shape]) => [
      name,
      float32(new Rng(0).stream(name).normals(shape.reduce((n, d) => n * d, 1)), shape),
    ]),
  );

void t.test(
  'small parameters share a vector that ends in zeros, a large one has its own; all are read as they were written',
  async (t) => {
    const parameters = new Parameters(SHAPES),
      { states } = new ReferenceBackend({});
    t.strictSame(
      parameters.buckets.map(({ id, size }) => [id, size]),
      [
        ['packed', 3 * 2 ** 16],
        ['large', 1024 * 1025],
      ],
    );
    t.equal(parameters.count, 90_000 + 1024 * 1025 + 50_001 + 1, 'zeros at the end are not trained');
    const written = values();
    await parameters.write(states, 'params', written);
    t.strictSame(await parameters.read(states, 'params'), written);
    const packed = floats(await states.read('params/packed'));
    t.ok(
      packed.subarray(140_002).every((x) => x === 0) && packed[140_001] === floats(written['c'])[0],
      'in their order',
    );
    t.strictSame(await states.type('params/packed'), { dtype: 'float32', shape: [3 * 2 ** 16] });

    await parameters.copy(states, 'params', 'ema');
    await parameters.fill(states, 'params', 0);
    t.strictSame(await parameters.read(states, 'ema'), written);
    t.strictSame(
      floats((await parameters.read(states, 'params'))['b']).every((x) => x === 0),
      true,
    );
  },
);

void t.test('symbolic values are packed as those in memory are', async (t) => {
  const parameters = new Parameters(SHAPES),
    backend = new ReferenceBackend({}),
    written = values();
  const packed = parameters.packSymbolic((name) => input(name, SHAPES.get(name) as number[]));
  const program = await backend.compile({
    name: 'pack',
    outputs: Object.fromEntries(packed.map((value, i) => [parameters.buckets[i].id, value])),
  });
  const got = await program.run(written);
  await parameters.write(backend.states, 'params', written);
  for (const { id } of parameters.buckets) t.strictSame(got[id], await backend.states.read(`params/${id}`), id);
});

void t.test('few parameters are not padded', (t) => {
  t.strictSame(
    new Parameters(
      new Map([
        ['a', [3]],
        ['b', [2, 2]],
      ]),
    ).buckets.map(({ size }) => size),
    [7],
  );
  t.end();
});
