/** New values of large states are computed chunk by chunk, written where they belong, and are those of the reference. */
import t from 'tap';
import { chunkedUpdates, chunkOf } from '../../src/backends/onnx/chunked-updates.js';
import { emitProgram } from '../../src/backends/onnx/emit.js';
import { OnnxRuntimeBackend } from '../../src/backends/onnxruntime/onnxruntime-backend.js';
import { optimize } from '../../src/backends/optimize.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import type { Program } from '../../src/backends/backend.js';
import { AdamW } from '../../src/engine/optimizers/adamw.js';
import { Rng } from '../../src/base/rng.js';
import { float32, floats, scalar } from '../../src/tensor/host.js';
import { add, gatherRows, minimum, mul, reshape, sqrt, square, sub, sum } from '../../src/tensor/ops.js';
import { input, state, type Tensor } from '../../src/tensor/tensor.js';

const N = 3 * 2 ** 15;
const open = (): OnnxRuntimeBackend =>
  new OnnxRuntimeBackend({
    device: 'cpu',
    intra_op_num_threads: 2,
    graph_optimization_level: 'extended',
    scratch_dir: null,
  });
const [p, m, v] = ['p', 'm', 'v'].map((name) => state(name, [N]));

/** A whole optimizer step on the gradient of sum(d (p - x)^2) / 2, clipped to norm 1; d grows along the vector, so that a swap of chunks would show. */
function training(): Program {
  const optimizer = new AdamW({ lr: 0.1, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 });
  const g = mul(sub(p, input('x', [N])), input('d', [N])),
    norm = sqrt(sum(square(g)));
  const hyper = ['decay', 'stepSize', 'scale2'].map((name) => input(name, []));
  const { param, slots } = optimizer.update(p, mul(g, minimum(mul(input('max', []), norm), 1)), [m, v], hyper);
  return { name: 'train', outputs: { norm }, updates: { p: param, m: slots[0], v: slots[1] } };
}

void t.test('chunks divide the length, are neither small nor larger than the cache', (t) => {
  t.strictSame([2 ** 20, 1280 * 1280 * 9, 3 * 2 ** 15, 2 ** 15, 2 ** 15 - 2, 2 ** 20 + 7].map(chunkOf), [
    2 ** 18,
    245_760,
    49_152,
    2 ** 14,
    undefined,
    undefined,
  ]);
  t.end();
});

void t.test(
  'one group takes in what is computed element by element for the states, and nothing that others read',
  (t) => {
    const [group, ...more] = chunkedUpdates(optimize(training()));
    t.equal(more.length, 0);
    t.equal(group.nodes.length, 15, group.nodes.map(({ op }) => op).join());
    t.same(
      group.outputs.map(({ shape }) => shape),
      [[N], [N], [N]],
    );
    t.equal(group.inputs.length, 4, 'p, m, v and the gradient, which the norm reads, too');
    t.equal(group.chunk, 49_152);

    const of = (updates: Record<string, Tensor>, outputs: Record<string, Tensor> = {}): number[] =>
      chunkedUpdates({ name: 'p', outputs, updates }).map(({ nodes }) => nodes.length);
    const next = add(mul(p, 2), 1),
      small = state('small', [12]);
    t.strictSame(of({ p: next }), [2]);
    t.strictSame(of({ p: next, m: add(mul(m, 3), 1) }), [2, 2], 'states that have nothing in common');
    t.strictSame(of({ p: next, m: sub(next, 1) }), [3], 'a new value that the other is computed from');
    const shared = mul(p, m);
    t.strictSame(
      of({ p: add(shared, 1), m: sub(shared, 1), v: add(mul(v, 2), shared) }),
      [5],
      'what several new values are computed from',
    );
    t.strictSame(
      of({ p: add(shared, 1), m: sub(shared, 1) }, { total: sum(shared) }),
      [],
      'unless something else reads it',
    );
    t.strictSame(of({ p: next }, { shown: next }), [], 'a result of the program itself');
    t.strictSame(of({ p: next, m: next }), [], 'a value of two states');
    t.strictSame(of({ p: next }, { total: sum(next) }), [], 'a new value that something else reads');
    t.strictSame(of({ p: mul(p, 2) }), [], 'one operation alone');
    t.strictSame(of({ small: add(mul(small, 2), 1) }), [], 'a small state');
    t.strictSame(
      of({ p: add(mul(p, input('row', [1])), 1) }),
      [],
      'operands that are neither numbers nor of that length',
    );
    t.strictSame(of({ p: reshape(add(mul(reshape(p, [N / 2, 2]), 2), 1), [N]) }), [], 'matrices');
    t.end();
  },
);

void t.test(
  'a step on large states gives the values of the reference, over and over, with and without chunks',
  async (t) => {
    const ours = open(),
      reference = new ReferenceBackend({});
    t.teardown(() => ours.dispose());
    const values = (name: string): Float32Array => new Rng(1).stream(name).normals(N);
    const feeds = {
      x: float32(values('x'), [N]),
      d: float32(
        Float32Array.from({ length: N }, (_, i) => 1 + i / N),
        [N],
      ),
      max: scalar(1e-3),
    };
    const [a, b] = await Promise.all(
      [ours, reference].map(async (backend) => {
        await backend.states.write('p', float32(values('p'), [N]));
        for (const name of ['m', 'v']) await backend.states.write(name, float32(new Float32Array(N), [N]));
        const program = await backend.compile(training()),
          norms: number[] = [];
        for (let step = 1; step <= 3; step++) {
          const [decay, stepSize, scale2] = [1 - 1e-3, 0.1 / (1 - 0.9 ** step), 1 / Math.sqrt(1 - 0.999 ** step)].map(
            scalar,
          );
          norms.push(floats((await program.run({ ...feeds, decay, stepSize, scale2 })).norm)[0]);
        }
        const states = await Promise.all(['p', 'm', 'v'].map(async (name) => floats(await backend.states.read(name))));
        return { norms, states };
      }),
    );
    t.ok(a.norms[2] < a.norms[0], 'it learns');
    a.norms.forEach((norm, i) =>
      t.ok(Math.abs(norm - b.norms[i]) < 1e-5 * norm, `norm ${i}: ${norm} is ${b.norms[i]}`),
    );
    a.states.forEach((values, k) => {
      const scale = b.states[k].reduce((max, x) => Math.max(max, Math.abs(x)), 0);
      const worst = values.reduce((max, x, i) => Math.max(max, Math.abs(x - b.states[k][i])), 0) / scale;
      t.ok(worst < 1e-5, `${['p', 'm', 'v'][k]} differs by ${worst} of its largest value`);
    });
  },
);

void t.test(
  'a state that cannot be overwritten while it is read changes, too; results of a run stay when the next one is made',
  async (t) => {
    const backend = open();
    t.teardown(() => backend.dispose());
    const up = Float32Array.from({ length: N }, (_, i) => i),
      down = up.map((x) => -x);
    await backend.states.write('p', float32(up, [N]));
    await backend.states.write('m', float32(down, [N]));
    const program = await backend.compile({
      name: 'turn',
      outputs: { first: mul(p, 2) },
      updates: { p: add(mul(m, 0.5), 1), m: sub(mul(p, 0.5), 1) },
    });
    const { first } = await program.run({}),
      { first: second } = await program.run({});
    t.strictSame([floats(first)[4], floats(second)[4], floats(second)[N - 1]], [8, -2, 3 - N]);
    const [a, b] = [floats(await backend.states.read('p')), floats(await backend.states.read('m'))];
    t.strictSame([a[8], b[8], a[N - 1], b[N - 1]], [2.5, -2.5, (N - 1) / 4 + 0.5, -(N - 1) / 4 - 0.5]);
  },
);

void t.test(
  'an error of a program that changes states is told, and is not taken for the one that is expected',
  async (t) => {
    const backend = open();
    t.teardown(() => backend.dispose());
    const program = await backend.compile({ name: 'unwritten', outputs: {}, updates: { p: add(mul(p, 2), 1) } });
    await t.rejects(program.run({}), { message: /state "p" was never written/ });
    await backend.states.write('p', float32(new Float32Array(3), [3]));
    await t.rejects(program.run({}), {
      message: /onnxruntime cpu: program "unwritten": Tensor's size\(98304\) does not match data length\(3\)/,
    });
    await backend.states.write('p', float32(new Float32Array(N).fill(2), [N]));
    await program.run({});
    t.strictSame(floats(await backend.states.read('p')).subarray(N - 2), Float32Array.of(5, 5));

    const rows = await backend.compile({
      name: 'rows',
      outputs: {},
      updates: { row: gatherRows(input('table', [3, 4]), input('ids', [1], 'int32')) },
    });
    await t.rejects(
      rows.run({
        table: float32(new Float32Array(12), [3, 4]),
        ids: { dtype: 'int32', shape: [1], data: Int32Array.of(7) },
      }),
      { message: /gatherRows.*idx=7/ },
    );
  },
);

void t.test('without memory of the caller nothing is chunked and nothing withheld', (t) => {
  const text = (overwrites: boolean): string =>
    Buffer.from(emitProgram(optimize(training()), () => '', { overwrites }).model).toString('latin1');
  t.strictSame(
    [true, false].map((o) => [/Scan/.test(text(o)), /withheld/.test(text(o))]),
    [
      [true, true],
      [false, false],
    ],
  );
  t.equal(
    emitProgram({ name: 'forward', outputs: { y: mul(p, 2) } }, () => '', { overwrites: true }).withheld,
    null,
    'nor in a program that changes no state',
  );
  t.end();
});
