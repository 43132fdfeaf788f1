/** States that are written over while a program runs, and what ONNX Runtime is told about shapes. */
import t from 'tap';
import { updatedInPlace } from '../../src/backends/in-place.js';
import type { Program } from '../../src/backends/backend.js';
import { OnnxRuntimeBackend } from '../../src/backends/onnxruntime/onnxruntime-backend.js';
import { emitProgram } from '../../src/backends/onnx/emit.js';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { optimize } from '../../src/backends/optimize.js';
import { AdamW } from '../../src/engine/optimizers/adamw.js';
import { Rng } from '../../src/base/rng.js';
import { float32, floats } from '../../src/tensor/host.js';
import { add, matmul, mul, narrow, reshape, square, sub, sum, transpose } from '../../src/tensor/ops.js';
import { grad } from '../../src/tensor/autodiff.js';
import { fill, input, state, type Tensor } from '../../src/tensor/tensor.js';

const inPlace = (updates: Record<string, Tensor>, outputs: Record<string, Tensor> = {}): string[] => [
  ...updatedInPlace({ name: 'p', outputs, updates }),
];
const s = state('s', [4]),
  other = state('other', [4]);

void t.test('a new value may be written over the old one when all readers of the old one come before it', (t) => {
  t.strictSame(inPlace({ s: add(s, 1) }), ['s'], 'element by element');
  t.strictSame(inPlace({ s: mul(add(s, 1), sub(s, 2)) }), ['s'], 'two readers, both operands');
  t.strictSame(
    inPlace({ s: reshape(transpose(reshape(mul(s, 2), [2, 2]), [1, 0]), [4]) }),
    ['s'],
    'the reader is an operand of what moves elements',
  );
  t.end();
});

void t.test('a state that something may read later keeps its old value', (t) => {
  t.strictSame(inPlace({ s: add(s, 1) }, { total: sum(square(s)) }), [], 'an output that the new value does not need');
  t.strictSame(inPlace({ s: add(s, 1) }, { s }), [], 'the old value is an output');
  t.strictSame(inPlace({ s: add(s, 1), other: add(other, s) }), ['other'], 'another update reads it');
  t.strictSame(inPlace({ s: other, other: s }), [], 'swapped');
  t.strictSame(inPlace({ s: add(fill(0, [4]), 1) }), [], 'nobody reads it, so it may not exist');
  const square2 = reshape(s, [2, 2]);
  t.strictSame(inPlace({ s: reshape(add(transpose(square2, [1, 0]), 1), [4]) }), ['s'], 'moved by an operand');
  t.strictSame(inPlace({ s: add(s, narrow(s, 0, 0, 1)) }), ['s'], 'the first element is copied before');
  t.strictSame(
    inPlace({ s: add(s, 1) }, { view: transpose(square2, [1, 0]) }),
    [],
    'read in another shape by what the new value does not need',
  );
  t.end();
});

/** Weights of two layers of which one is read as a matrix, and their optimizer. */
function training(): Program {
  const optimizer = new AdamW({ lr: 0.1, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 });
  const w = state('w', [12]),
    x = input('x', [5, 3]);
  const loss = sum(square(sub(matmul(x, reshape(w, [3, 4])), 1)));
  const [g] = grad(loss, [w]);
  const slots = ['m', 'v'].map((name) => state(name, [12]));
  const hyper = optimizer.hyper(1, 0.1).map((value) => fill(value, []));
  const next = optimizer.update(w, mul(g, 0.5), slots, hyper);
  return { name: 'train', outputs: { loss }, updates: { w: next.param, m: next.slots[0], v: next.slots[1] } };
}

void t.test(
  'training writes weights and moments over the old ones, and gives the values of the reference',
  async (t) => {
    t.strictSame([...updatedInPlace(optimize(training()))].sort(), ['m', 'v', 'w']);
    const ours = new OnnxRuntimeBackend({
        device: 'cpu',
        intra_op_num_threads: 1,
        graph_optimization_level: 'extended',
        scratch_dir: null,
      }),
      reference = new ReferenceBackend({});
    t.teardown(() => ours.dispose());
    const x = float32(new Rng(1).stream('x').normals(15), [5, 3]);
    const [a, b] = await Promise.all(
      [ours, reference].map(async (backend) => {
        await backend.states.write('w', float32(new Rng(1).stream('w').normals(12), [12]));
        for (const name of ['m', 'v']) await backend.states.write(name, float32(new Float32Array(12), [12]));
        const program = await backend.compile(training()),
          losses: number[] = [];
        for (let i = 0; i < 5; i++) losses.push(floats((await program.run({ x })).loss)[0]);
        const states = await Promise.all(
          ['w', 'm', 'v'].map(async (name) => [...floats(await backend.states.read(name))]),
        );
        return [...losses, ...states.flat()];
      }),
    );
    t.ok(a[4] < a[0], 'it learns');
    a.forEach((value, i) =>
      t.ok(Math.abs(value - b[i]) <= 2e-5 * Math.max(1, Math.abs(b[i])), `value ${i}: ${value} is ${b[i]}`),
    );
  },
);

void t.test('a result that is computed is not copied to get its name; a leaf, and a second name, are', (t) => {
  const identities = (updates: Record<string, Tensor>, outputs: Record<string, Tensor> = {}): number =>
    Buffer.from(emitProgram({ name: 'p', outputs, updates }, () => '').model)
      .toString('latin1')
      .split('/Identity.').length - 1;
  const next = add(s, 1);
  t.equal(identities({ s: next }), 0);
  t.equal(identities({ s: next, other: mul(next, 2) }), 0, 'though another node reads it');
  t.equal(identities({ s: next, other: next }), 1);
  t.equal(identities({ s: other }), 1);
  t.end();
});
