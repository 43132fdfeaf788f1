import t from 'tap';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { Rng } from '../../src/base/rng.js';
import { grad } from '../../src/tensor/autodiff.js';
import { float32, int32, sizeOf, type HostTensor } from '../../src/tensor/host.js';
import { add, cast, exp, gemm, layerNorm, matmul, mul, reshape, sub, sum, tanh } from '../../src/tensor/ops.js';
import { shareCommon } from '../../src/tensor/passes/cse.js';
import { foldConstants } from '../../src/tensor/passes/fold-constants.js';
import { rewrite, substitute } from '../../src/tensor/passes/rewrite.js';
import { RULES } from '../../src/tensor/passes/rules.js';
import { simplify } from '../../src/tensor/passes/simplify.js';
import { print } from '../../src/tensor/print.js';
import { constant, fill, input, Node, parameter, state, topo, weight, type Tensor } from '../../src/tensor/tensor.js';
import { verify } from '../../src/tensor/verify.js';
import { relativeError } from '../../src/checking/sample-inputs.js';

const backend = new ReferenceBackend({});
const values = (name: string, shape: readonly number[]): HostTensor =>
  float32(new Rng(1).stream(name).normals(sizeOf(shape)), shape);
const feeds = { x: values('x', [2, 3, 4]), y: values('y', [4]) };

async function run(outputs: readonly Tensor[]): Promise<HostTensor[]> {
  const fetched = await (
    await backend.compile({ name: 'test', outputs: Object.fromEntries(outputs.map((o, i) => [String(i), o])) })
  ).run(feeds);
  return outputs.map((_, i) => fetched[String(i)]);
}

/** Largest relative difference of the values of two graphs. */
async function difference(before: readonly Tensor[], after: readonly Tensor[]): Promise<number> {
  const [a, b] = [await run(before), await run(after)];
  return Math.max(...a.map((v, i) => relativeError(b[i].data as Float32Array, v.data as Float32Array)));
}

const x = input('x', [2, 3, 4]),
  y = input('y', [4]);
const count = (outputs: readonly Tensor[]): number => topo(outputs).length;

/** The gradient of a small network: shared and repeated parts, literals, broadcasting, several results per node. */
function network(): Tensor[] {
  const w = constant(values('w', [4, 4]));
  const rows = matmul(x, constant(values('v', [2, 4, 4])));
  const scaled = mul(mul(add(rows, y), 0.5), 3);
  const [normed] = [layerNorm(scaled, fill(1, [4]), y, 1e-5)].flat();
  const loss = sum(mul(tanh(normed), add(exp(mul(x, 0.1)), exp(mul(x, 0.1)))));
  return [loss, ...grad(loss, [x, y]), gemm(w, w)];
}

for (const { law, match, to, example } of RULES) {
  void t.test(`simplify keeps values: ${law}`, async (t) => {
    const before = example(x, y);
    const [after] = simplify([before], [{ law, match, to, example }]);
    t.not(after, before, 'the rule fits its example');
    t.same(after.shape, before.shape);
    t.ok((await difference([before], [after])) < 1e-6);
    verify({ outputs: { after } });
  });
}

void t.test('every pass keeps the values of a network and its gradient, and its graph verifies', async (t) => {
  const before = network();
  for (const [name, pass] of Object.entries({ simplify, shareCommon, foldConstants })) {
    const after = pass(before);
    t.ok((await difference(before, after)) < 1e-6, name);
    t.ok(count(after) < count(before), `${name}: ${count(before)} to ${count(after)} nodes`);
    verify({ outputs: Object.fromEntries(after.map((o, i) => [String(i), o])) });
    t.same(
      pass(after).map((o) => o.node.id),
      after.map((o) => o.node.id),
      `${name} of its own result changes nothing`,
    );
  }
});

void t.test('a rule that would change a shape is not applied', (t) => {
  const stretched = mul(y, fill(1, [3, 4]));
  t.equal(simplify([stretched])[0], stretched);
  t.end();
});

void t.test('rules apply to what rules made', (t) => {
  t.equal(simplify([mul(mul(sub(add(x, 0), 0), 0.5), 2)])[0], x);
  t.end();
});

void t.test('equal expressions are one node, also when the order of building differs', (t) => {
  const [a, b] = shareCommon([tanh(add(x, 1)), exp(tanh(add(x, 1)))]);
  t.equal(b.node.inputs[0], a);
  t.end();
});

void t.test('leaves of one name are one node; different weights and literals stay apart', (t) => {
  const [p, q] = shareCommon([mul(parameter('p', [4]), 2), add(parameter('p', [4]), 2)]);
  t.equal(p.node.inputs[0], q.node.inputs[0]);
  const file = (offset: number): Tensor =>
    weight({ key: 'w', file: '/w.safetensors', offset, bytes: 16 }, { dtype: 'float32', shape: [4] });
  t.equal(new Set(shareCommon([file(0), file(16), file(0)])).size, 2);
  t.equal(new Set(shareCommon([fill(0), fill(-0), fill(0), constant(int32([0], []))])).size, 3);
  t.end();
});

void t.test('literals are folded, but not into large ones', async (t) => {
  const [small] = foldConstants([add(mul(fill(2, [3]), fill(0.25)), exp(fill(0)))]);
  t.equal(small.node.op, 'constant');
  t.same((await run([small]))[0].data, Float32Array.from([1.5, 1.5, 1.5]));
  const large = add(fill(1, [100, 1]), fill(1, [1, 100]));
  t.equal(foldConstants([large])[0], large);
  t.end();
});

void t.test('substitute replaces leaves and shares what does not depend on them', async (t) => {
  const untouched = tanh(x),
    [result, same] = substitute([mul(untouched, parameter('scale', [4])), untouched], (leaf) =>
      leaf.node.op === 'parameter' ? y : undefined,
    );
  t.equal(same, untouched);
  t.equal(result.node.inputs[0], untouched);
  t.ok((await difference([mul(tanh(x), y)], [result])) === 0);
});

void t.test('rewrite gives readers the new results of a node with several', (t) => {
  const out = sum(layerNorm(x, fill(1, [4]), y, 1e-5));
  const [after] = rewrite([out], (node) =>
    node.op === 'layerNorm' ? node.outs.map((o) => (o.index === 0 ? x : o)) : undefined,
  );
  t.equal(after.node.inputs[0], x);
  t.end();
});

void t.test('passes take a graph of 10,000 nodes in 200 ms', (t) => {
  let deep = x;
  for (let i = 0; i < 2500; i++) deep = add(tanh(mul(deep, 0.5 + i)), mul(x, i + 2));
  for (const [name, pass] of Object.entries({
    substitute: (o: Tensor[]) => substitute(o, (leaf) => (leaf === x ? input('x', [2, 3, 4]) : undefined)),
    simplify,
    shareCommon,
    foldConstants,
  })) {
    pass([deep]); // compiled by the engine first
    const times = [0, 1, 2].map(() => {
      const start = performance.now();
      pass([deep]);
      return performance.now() - start;
    });
    t.ok(Math.min(...times) < 200, `${name}: ${Math.min(...times).toFixed(0)} ms for ${count([deep])} nodes`);
  }
  t.end();
});

void t.test('print writes a node a line, with types, attributes and leaves', (t) => {
  const rows = input('rows', [2, 3]),
    w = weight({ key: 'fc.weight', file: '/w.safetensors', offset: 0, bytes: 48 }, { dtype: 'float32', shape: [4, 3] });
  const product = gemm(rows, w, undefined, false, true);
  t.equal(
    print({ loss: sum(mul(product, 0.5)) }),
    [
      '%0: float32[2,3] = input "rows"',
      '%1: float32[4,3] = weight "fc.weight"',
      '%2: float32[2,4] = gemm(%0, %1) {transB: true}',
      '%3: float32[] = constant 0.5',
      '%4: float32[2,4] = mul(%2, %3)',
      '%5: float32[] = sum(%4) {axes: [0,1]}',
      'return loss: %5',
    ].join('\n'),
  );
  t.end();
});

void t.test('verify finds every kind of broken graph', (t) => {
  const of =
    (out: Tensor): (() => void) =>
    () =>
      verify({ outputs: { out } });
  const types = [{ dtype: 'float32', shape: [7] }] as const;
  t.throws(
    of(new Node('add', [x, y], {}, types).outs[0]),
    /add \(node \d+\): is float32\[7\], its shape rule gives float32\[2,3,4\]/,
  );
  t.throws(of(new Node('ad', [x, y], {}, types).outs[0]), /ad \(node \d+\): no primitive of this name/);
  t.throws(of(new Node('add', [x, input('z', [5])], {}, types).outs[0]), /do not broadcast/);
  t.throws(of(add(x, input('x', [4]))), /"x" is both float32\[2,3,4\] and float32\[4\]/);
  t.throws(
    of(weight({ key: 'w', file: '/w', offset: 0, bytes: 8 }, types[0])),
    /"w" has 8 bytes for float32\[7\], which needs 28/,
  );
  t.throws(of(constant({ dtype: 'float32', shape: [3], data: new Float32Array(2) })), /has 2 values for float32\[3\]/);
  t.throws(of(new Node('tanh', [{ ...x }], {}, [x]).outs[0]), /reads a tensor that is not result 0/);
  t.throws(
    () => verify({ outputs: { out: state('m', [2]) }, updates: { m: x } }),
    /update of state "m": gives float32\[2,3,4\], the state is float32\[2\]/,
  );
  t.doesNotThrow(() => verify({ outputs: { out: state('m', [4]) }, updates: { m: y } }));
  t.end();
});

void t.test('a reshape of a weight, stored in 32 or in 16 bits, is the weight read in that shape', (t) => {
  const stored = (dtype: 'float32' | 'float16'): Tensor =>
    weight({ key: 'w', file: 'w.safetensors', offset: 0, bytes: 24 }, { dtype, shape: [2, 6] });
  t.strictSame(
    topo([reshape(stored('float32'), [3, 4])]).map(({ op, outs }) => `${op} ${outs[0].shape}`),
    ['weight 3,4'],
  );
  t.strictSame(
    topo([reshape(cast(stored('float16'), 'float32'), [3, 4])]).map(({ op, outs }) => `${op} ${outs[0].shape}`),
    ['weight 3,4', 'cast 3,4'],
  );
  t.end();
});
