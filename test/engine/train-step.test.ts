/** Values that a model's steps change without a gradient: in one program, over accumulated batches, and over ranks. */
import t from 'tap';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { ALONE, type Collectives } from '../../src/collectives/collectives.js';
import { AdamW } from '../../src/engine/optimizers/adamw.js';
import { Parameters } from '../../src/engine/parameters.js';
import { TrainStep } from '../../src/engine/train-step.js';
import { buffer, bufferState, type Model } from '../../src/models/model.js';
import { floats, float32 } from '../../src/tensor/host.js';
import { add, mean, mul, square, sub } from '../../src/tensor/ops.js';
import { input, parameter } from '../../src/tensor/tensor.js';

/** Its loss is (w - x + running)^2; `running` moves half of the way towards the mean of x. */
const model = {
  buffers: () => ({ running: float32([1], [1]) }),
  loss: ({ x }) => {
    const running = buffer('running', [1]),
      mid = mean(input('x', x.shape), [0]);
    return {
      loss: mean(square(add(sub(parameter('w', [1]), mid), running))),
      updates: { running: mul(add(running, mid), 0.5) },
    };
  },
} satisfies Pick<Model, 'loss' | 'buffers'>;

async function running(batches: readonly number[], accumulativeCounts = 1, ranks?: Collectives): Promise<number[]> {
  const backend = new ReferenceBackend({}),
    parameters = new Parameters(new Map([['w', [1]]]));
  const step = new TrainStep({
    model: model as unknown as Model,
    backend,
    parameters,
    optimizer: new AdamW({ lr: 0.1, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0 }),
    accumulativeCounts,
    maxIters: batches.length,
    ...(ranks && { ranks }),
  });
  t.ok(step.stateNames.includes('buffer/running'));
  await step.init({ w: float32([0], [1]) });
  const losses: number[] = [];
  for (const [iteration, x] of batches.entries())
    losses.push((await step.run({ x: float32([x - 1, x + 1], [2, 1]) }, { iteration, lr: 0 }))['loss']);
  const [now] = floats(await backend.states.read(bufferState('running')));
  await step.dispose();
  return [now, ...losses];
}

void t.test('the loss sees the value before the step, and each batch moves it', async (t) => {
  // running: 1, 2, 5; losses (0 - x + running)^2
  t.strictSame(await running([3, 8]), [5, 4, 36]);
  t.strictSame(await running([3, 8], 2), [5, 4, 36], 'also where only the second batch updates the parameters');
});

void t.test('ranks go on with the mean of theirs', async (t) => {
  // the other rank of two always says 4
  const two: Collectives = {
    ...ALONE,
    size: 2,
    orderedSum: async (data) => data.forEach((v, i) => (data[i] = v + 4)),
    allGather: async (data) => [data, data],
  };
  const [now] = await running([3], 1, two);
  t.equal(now, 3, '(2 + 4) / 2');
});
