import t from 'tap';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { axisOrder, conversion, cut, ordered, transposed } from '../../src/backends/tfjs/layout.js';
import { plan, type Step } from '../../src/backends/tfjs/plan.js';
import { TfjsBackend } from '../../src/backends/tfjs/tfjs-backend.js';
import { Rng } from '../../src/base/rng.js';
import { grad } from '../../src/tensor/autodiff.js';
import { float32, floats, sizeOf, type HostTensor, type Shape } from '../../src/tensor/host.js';
import {
  add,
  averagePool2x,
  concat,
  conv2d,
  layerNorm,
  matmul,
  mul,
  narrow,
  pad,
  reshape,
  silu,
  softmax,
  square,
  sum,
  transpose,
  upsampleNearest2x,
} from '../../src/tensor/ops.js';
import { fill, input, weight, type Tensor } from '../../src/tensor/tensor.js';
import { relativeError } from '../../src/checking/sample-inputs.js';

const PICTURE = [0, 2, 3, 1];

void t.test('an order of elements has one name: axes of 1, and axes that stay neighbours, do not count', async (t) => {
  t.strictSame(ordered([2, 3, 4, 5]), { factors: [120], order: [0] });
  t.strictSame(ordered([2, 3, 4, 5], PICTURE), { factors: [2, 3, 20], order: [0, 2, 1] });
  t.strictSame(ordered([1, 3, 4, 5], PICTURE), { factors: [3, 20], order: [1, 0] });
  t.strictSame(ordered([2, 1, 4, 5], PICTURE), ordered([40]));
  t.strictSame(ordered([2, 3, 1, 1], PICTURE), ordered([6]));
  t.strictSame(ordered([]), { factors: [], order: [] });
});

void t.test('cut: a layout is seen through any shape whose axes end where a factor can be split', async (t) => {
  const picture = ordered([2, 6, 4, 4], PICTURE);
  t.strictSame(cut(picture, [2, 6, 4, 4]), { factors: [2, 6, 4, 4], order: [0, 2, 3, 1], axis: [0, 1, 2, 3] });
  t.strictSame(
    cut(picture, [4, 48]),
    { factors: [2, 2, 3, 16], order: [0, 3, 1, 2], axis: [0, 0, 1, 1] },
    'a group norm with 2 groups',
  );
  t.equal(cut(picture, [24, 8])?.factors.join(), '2,6,2,8');
  t.equal(cut(ordered([5, 3, 4], [0, 2, 1]), [3, 20]), undefined, '5 of the first axis do not divide into 3');
});

void t.test('transposed: the same memory under other names', async (t) => {
  const picture = ordered([2, 6, 4, 4], PICTURE);
  t.strictSame(
    transposed(picture, [2, 6, 16], [0, 2, 1]),
    ordered([192]),
    'tokens of a channels-last picture are row-major',
  );
  t.strictSame(transposed(ordered([2, 16, 6]), [2, 16, 6], [0, 2, 1]), picture, 'and back');
  t.strictSame(axisOrder(picture, [2, 6, 4, 4]), PICTURE);
  t.strictSame(axisOrder(picture, [1, 2, 6, 16]), [0, 1, 3, 2]);
  t.equal(axisOrder(picture, [4, 48]), undefined, 'an axis in two pieces');
});

void t.test('conversion: moves every element to where the other order has it', async (t) => {
  const shape = [2, 3, 4, 5],
    orders = [[0, 1, 2, 3], PICTURE, [3, 1, 0, 2], [2, 0, 3, 1]];
  const draw = new Rng(0).stream('values'),
    values = float32(
      Float32Array.from({ length: 120 }, () => draw.uniform()),
      shape,
    );
  const backend = new ReferenceBackend({});
  const memory = async (x: Tensor): Promise<Float32Array> =>
    floats((await (await backend.compile({ name: 'memory', outputs: { x } })).run({ x: values })).x);
  const x = input('x', shape);
  for (const a of orders)
    for (const b of orders) {
      const way = conversion(ordered(shape, a), ordered(shape, b));
      if (!way) {
        t.fail(`no way from ${a} to ${b}`);
        continue;
      }
      t.strictSame(
        await memory(transpose(reshape(transpose(x, a), way.shape), way.perm)),
        await memory(transpose(x, b)),
        `${a} to ${b}`,
      );
    }
});

/** Two residual convolutions with group norms, down and up, tokens, a skip connection: what a U-Net is made of. */
function network(B: number): { loss: Tensor; wanted: Record<string, Tensor>; feeds: Record<string, HostTensor> } {
  const feeds: Record<string, HostTensor> = {};
  const values = (name: string, shape: Shape): HostTensor =>
    float32(
      Float32Array.from(new Rng(1).stream(name).normals(sizeOf(shape)), (v) => v * 0.5),
      shape,
    );
  const frozen = (name: string, shape: Shape): Tensor =>
    weight({ key: name, value: values(name, shape) }, { dtype: 'float32', shape });
  const fed = (name: string, shape: Shape): Tensor => {
    feeds[name] = values(name, shape);
    return input(name, shape);
  };
  const scale = fed('scale', [8, 1, 1]);
  const groupNorm = (x: Tensor, groups: number): Tensor => {
    const [, C, H, W] = x.shape,
      width = (C / groups) * H * W;
    return mul(reshape(layerNorm(reshape(x, [B * groups, width]), fill(1, [width]), undefined, 1e-5), x.shape), scale);
  };
  const x = fed('x', [B, 3, 6, 4]),
    w = fed('w', [8, 8, 3, 3]);
  const first = conv2d(x, frozen('w1', [8, 3, 3, 3]), frozen('b1', [8]), 1, 1);
  const second = add(first, conv2d(silu(groupNorm(first, 4)), w, frozen('b2', [8]), 1, 1));
  const down = averagePool2x(second),
    tokens = transpose(reshape(down, [B, 8, 6]), [0, 2, 1]);
  const mixed = matmul(softmax(matmul(tokens, tokens, false, true)), tokens);
  const up = upsampleNearest2x(add(down, reshape(transpose(mixed, [0, 2, 1]), down.shape)));
  const joined = concat([up, narrow(second, 1, 0, 4)], 1);
  const last = conv2d(pad(joined, [0, 0, 0, 0], [0, 0, 0, 1]), frozen('w3', [3, 12, 3, 3]), undefined, 2, [1, 1, 1, 0]);
  const loss = sum(square(last));
  const [dx, dw, dscale] = grad(loss, [x, w, scale]);
  return { loss, wanted: { loss, dx, dw, dscale, last, pooled: sum(last, [1]) }, feeds };
}

for (const B of [1, 2]) {
  void t.test(`a network in channels last gives the values and gradients of the reference, batch ${B}`, async (t) => {
    const { wanted, feeds } = network(B),
      program = { name: 'network', outputs: wanted };
    const tfjs = new TfjsBackend(
      { device: 'cpu' },
      { info: () => undefined, warn: () => undefined, debug: () => undefined },
    );
    const [got, expected] = [
      await (await tfjs.compile(program)).run(feeds),
      await (await new ReferenceBackend({}).compile(program)).run(feeds),
    ];
    for (const name of Object.keys(wanted)) {
      t.strictSame(got[name].shape, expected[name].shape, name);
      const error = relativeError(floats(got[name]), floats(expected[name]));
      t.ok(error < 1e-5, `${name}: ${error}`);
    }
    await tfjs.dispose();
  });
}

void t.test(
  'a training step changes orders at its inputs and results only, filters when they are loaded',
  async (t) => {
    const {
      wanted: { loss, dx, dscale },
    } = network(2);
    const { steps, frozen, leaves } = plan({ name: 'network', outputs: { loss, dx, dscale } });
    const orders = steps.filter(({ label }) => label.startsWith('order for '));
    const names = (list: readonly Step[]): string[] =>
      list.map(({ label }) => label.replace(/^order for /, '').replace(/\(.*/, ''));
    t.strictSame(
      names(orders),
      ['conv2d', 'conv2d', 'mul', 'results'],
      'the picture, the filter that is fed, the gradient of the sum, and dx',
    );
    t.strictSame(names(frozen), ['layerNorm'], 'its unit scale');
    t.equal(
      [...leaves.values()].filter((leaf) => leaf.op === 'weight' && leaf.turn).length,
      2,
      'the filters that are weights',
    );
  },
);
