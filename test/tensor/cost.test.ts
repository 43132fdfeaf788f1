import t from 'tap';
import { Scope, RecordingSource } from '../../src/networks/layers/scope.js';
import { LAYOUTS } from '../../src/models/random-model.js';
import { parseUNetConfig } from '../../src/networks/unet-config.js';
import { unet } from '../../src/networks/unet.js';
import { grad } from '../../src/tensor/autodiff.js';
import { cost, nodeCost } from '../../src/tensor/cost.js';
import { applyPrimitive, primitives } from '../../src/tensor/primitive.js';
import {
  add,
  attention,
  averagePool2x,
  concat,
  conv2d,
  gatherRows,
  gemm,
  layerNorm,
  matmul,
  mean,
  narrow,
  reshape,
  softmax,
  sum,
  transpose,
  upsampleNearest2x,
} from '../../src/tensor/ops.js';
import { input, parameter, topo, type Tensor } from '../../src/tensor/tensor.js';

const x = (...shape: number[]): Tensor => input('x', shape);

void t.test('a linear layer of 4 rows from 3 to 5 makes 60 multiply-adds, and 20 additions for its bias', async (t) => {
  t.strictSame(cost([gemm(x(4, 3), x(5, 3), x(5), false, true)]), { macs: 60, flops: 140 });
  t.strictSame(cost([gemm(x(3, 4), x(5, 3), undefined, true, true)]), { macs: 60, flops: 120 });
});

void t.test('a batched product counts every batch', async (t) => {
  t.strictSame(cost([matmul(x(2, 3, 4, 5), x(2, 3, 6, 5), false, true)]), { macs: 720, flops: 1440 }); // 6 x 4 x 6 x 5
  t.strictSame(cost([matmul(x(5, 4), x(5, 6), true)]), { macs: 120, flops: 240 });
});

void t.test(
  'a 3x3 convolution from 2 to 4 channels on 5x5 makes 1,800 multiply-adds, a quarter of it with stride 2',
  async (t) => {
    t.strictSame(cost([conv2d(x(1, 2, 5, 5), x(4, 2, 3, 3), x(4), 1, 1)]), { macs: 1800, flops: 3700 }); // 100 results, 18 taps each
    t.strictSame(cost([conv2d(x(1, 2, 6, 6), x(4, 2, 3, 3), undefined, 2, 1)]), { macs: 648, flops: 1296 }); // 36 results
  },
);

void t.test('the gradients of a convolution cost what the convolution does, each', async (t) => {
  const image = parameter('x', [2, 3, 6, 6]),
    w = parameter('w', [4, 3, 3, 3]);
  for (const [stride, macs] of [
    [1, 7776],
    [2, 1944],
  ] as const) {
    const y = conv2d(image, w, undefined, stride, 1);
    t.equal(cost([y]).macs, macs);
    const [dx, dw] = grad(sum(y), [image, w]);
    t.equal(cost([dx]).macs, macs);
    t.equal(cost([dw]).macs, macs);
  }
});

void t.test(
  'attention makes two products per head, its gradient five: scores again and one per gradient',
  async (t) => {
    const [q, k, v] = [parameter('q', [2, 3, 8]), parameter('k', [2, 5, 8]), parameter('v', [2, 5, 8])];
    const y = attention(q, k, v, 4, 0.5);
    // 2 samples x 3 queries x 5 keys x width 8 = 240 per product; a softmax over 2 x 4 heads x 3 x 5 = 120 scores
    t.strictSame(cost([y]), { macs: 480, flops: 960 + 720 });
    t.equal(cost(grad(sum(y), [q, k, v])).macs - 480, 1200);
  },
);

void t.test('arithmetic without products counts operations only', async (t) => {
  t.strictSame(cost([add(x(2, 1, 3), x(4, 1))]), { macs: 0, flops: 24 });
  t.strictSame(cost([sum(x(2, 3, 4), [1])]), { macs: 0, flops: 24 });
  t.strictSame(cost([softmax(x(2, 5))]), { macs: 0, flops: 50 });
  t.strictSame(cost([layerNorm(x(2, 5), x(5), x(5), 1e-5)]), { macs: 0, flops: 80 });
  t.strictSame(cost([averagePool2x(x(1, 2, 4, 4))]), { macs: 0, flops: 32 });
});

void t.test('moving values costs nothing', async (t) => {
  const rows = input('rows', [4], 'int32');
  for (const y of [
    reshape(x(2, 6), [3, 4]),
    transpose(x(2, 3), [1, 0]),
    narrow(x(4, 2), 0, 1, 3),
    concat([x(2), x(3)], 0),
    upsampleNearest2x(x(1, 1, 2, 2)),
    gatherRows(x(9, 2), rows),
  ]) {
    t.strictSame(cost([y]), { macs: 0, flops: 0 }, y.node.op);
  }
});

void t.test('a value that is read twice is computed once', async (t) => {
  const y = gemm(x(2, 3), x(3, 4));
  t.equal(cost([mean(add(y, y)), y]).macs, 24);
});

void t.test('every primitive says a whole, finite cost for its samples', async (t) => {
  for (const [name, rule] of primitives())
    for (const { shapes, attrs, indices } of rule.samples) {
      const inputs = shapes.map((shape, i) => input(`x${i}`, shape, indices?.[i] === undefined ? 'float32' : 'int32'));
      const { macs, flops } = nodeCost(applyPrimitive(rule, inputs, attrs)[0].node);
      t.ok(Number.isInteger(macs) && macs >= 0 && Number.isInteger(flops) && flops >= 2 * macs, name);
    }
});

/**
 * Table 1 of BK-SDM (Kim et al., arXiv 2305.15798): U-Nets on 64x64 latents. Its counts are those of convolutions and
 * linear layers; tools that hook modules do not see the two products inside attention.
 */
for (const [layout, published, exact, withAttention] of [
  ['sd15', 339, 338_610_585_600, 401_636_720_640],
  ['small', 224, 223_672_074_240, 261_496_995_840],
  ['bk_small', 218, 217_645_383_680, 255_447_203_840],
  ['tiny', 205, 204_952_698_880, 242_754_519_040],
] as const) {
  void t.test(`${layout}: the published ${published} G multiply-adds, without the products of attention`, async (t) => {
    const config = parseUNetConfig(
      {
        in_channels: 4,
        out_channels: 4,
        attention_head_dim: 8,
        act_fn: 'silu',
        norm_eps: 1e-5,
        ...LAYOUTS[layout].unet,
      },
      'config.json',
    );
    const inputs = {
      sample: x(1, 4, 64, 64),
      timesteps: input('t', [1]),
      encoderHiddenStates: input('text', [1, 77, 768]),
    };
    const { out } = unet(new Scope(new RecordingSource()), inputs, config);
    const layers = topo([out])
      .filter(({ op }) => op !== 'attention')
      .reduce((n, node) => n + nodeCost(node).macs, 0);
    t.equal(layers, exact);
    t.equal(Math.round(layers / 1e9), published);
    t.equal(cost([out]).macs, withAttention);
  });
}
