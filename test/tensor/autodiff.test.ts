import t from 'tap';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { grad } from '../../src/tensor/autodiff.js';
import { float32, type HostTensor } from '../../src/tensor/host.js';
import { add, exp, gemm, layerNorm, lessOrEqual, mul, narrow, sum, tanh } from '../../src/tensor/ops.js';
import { fill, input, parameter, topo, type Tensor } from '../../src/tensor/tensor.js';
import { verify } from '../../src/tensor/verify.js';

const backend = new ReferenceBackend({});

/** Values of tensors that depend on the input `x` = [1, 2, 3] at most. */
async function evaluate(...outputs: readonly Tensor[]): Promise<number[][]> {
  const program = { name: 'test', outputs: Object.fromEntries(outputs.map((o, i) => [String(i), o])) };
  verify(program);
  const fetched: Record<string, HostTensor> = await (
    await backend.compile(program)
  ).run({ x: float32([1, 2, 3], [3]) });
  return outputs.map((_, i) => Array.from(fetched[String(i)].data as Float32Array));
}

const x = input('x', [3]);
/** [1, 3] */
const wide = (v: Tensor): Tensor => mul(v, fill(1, [1, 3]));

void t.test('gradients of all readers of a tensor add up', async (t) => {
  // f = sum(x * x + 5 x)
  t.same(await evaluate(...grad(sum(add(mul(x, x), mul(x, 5))), [x])), [[7, 9, 11]]);
});

void t.test('a tensor that one node reads twice gets both gradients', async (t) => {
  t.same(await evaluate(...grad(sum(gemm(wide(x), wide(x), undefined, true, false)), [x])), [[12, 12, 12]]);
});

void t.test('a parameter that the loss does not reach gets zeros of its shape', async (t) => {
  const [, unreached] = grad(sum(x), [x, parameter('unused', [2, 2])]);
  t.same(unreached.shape, [2, 2]);
  t.same(await evaluate(unreached), [[0, 0, 0, 0]]);
});

void t.test('a parameter reached only through a rule without gradient gets zeros', async (t) => {
  t.same(await evaluate(...grad(sum(lessOrEqual(x, 2)), [x])), [[0, 0, 0]]);
});

void t.test('a loss that is not a scalar is refused with its shape', (t) => {
  t.throws(() => grad(mul(x, 2), [x]), new RangeError('grad: the loss has shape [3]; reduce it to a scalar'));
  t.end();
});

void t.test(
  'the gradient with respect to an intermediate tensor stops there and passes on to what is below',
  async (t) => {
    const middle = mul(x, x);
    const [dMiddle, dX] = grad(sum(mul(middle, middle)), [middle, x]);
    t.same(await evaluate(dMiddle, dX), [
      [2, 8, 18],
      [4, 32, 108],
    ]); // 2 x^2 and 4 x^3
  },
);

void t.test('the gradient of the loss with respect to itself is one', async (t) => {
  const loss = sum(x);
  t.same(await evaluate(...grad(loss, [loss])), [[1]]);
});

void t.test('results come in the order they were asked for, also when one is asked for twice', async (t) => {
  const y = tanh(x),
    loss = sum(add(mul(y, 2), mul(x, 3)));
  const [dX, dY, again] = grad(loss, [x, y, x]);
  const [slope] = await evaluate(dX);
  t.same(await evaluate(dY, again), [[2, 2, 2], slope]);
});

void t.test('gradients of slices of one tensor land in their own places', async (t) => {
  const loss = add(sum(mul(narrow(x, 0, 0, 1), 10)), sum(narrow(x, 0, 1, 3)));
  t.same(await evaluate(...grad(loss, [x])), [[10, 1, 1]]);
});

void t.test('the gradient of a gradient is the second derivative', async (t) => {
  const [first] = grad(sum(mul(mul(x, x), x)), [x]);
  t.same(await evaluate(...grad(sum(first), [x])), [[6, 12, 18]]); // 6 x
});

void t.test('nothing is built for branches that no wanted tensor reaches', (t) => {
  const trained = parameter('b', [3, 2]),
    frozen = parameter('w', [3, 3]);
  const below = gemm(gemm(wide(x), frozen), frozen); // before the first trained weight
  const beside = exp(exp(wide(x)));
  const loss = sum(mul(gemm(below, trained), narrow(beside, 1, 0, 2)));
  const forward = new Set(topo([loss]));
  const backward = topo(grad(loss, [trained])).filter((n) => !forward.has(n));
  const ops = backward.map((n) => n.op).sort();
  // d sum, d mul, then below^T g: not one node for the exponentials or the frozen products.
  t.same(ops, ['constant', 'expand', 'gemm', 'mul', 'reshape'], ops.join(' '));
  t.equal(backward.filter((n) => n.inputs.some((i) => i.node === frozen.node)).length, 0);
  t.end();
});

void t.test('a frozen scale and bias of a layer norm cost no gradient nodes', (t) => {
  const scale = parameter('scale', [3]),
    bias = parameter('bias', [3]);
  const loss = sum(tanh(layerNorm(wide(x), scale, bias, 1e-5)));
  const count = (...wrt: Tensor[]): number => topo(grad(loss, wrt)).length;
  t.ok(count(x) < count(x, scale, bias));
  t.end();
});
