import t from 'tap';
import { ByteLru } from '../../src/base/byte-lru.js';
import { Dataset, type Sample } from '../../src/datasets/dataset.js';
import { InfiniteSampler } from '../../src/datasets/infinite-sampler.js';
import { DataLoader } from '../../src/datasets/loader.js';
import { UserError } from '../../src/base/errors.js';
import { Rng, type RandomStream } from '../../src/base/rng.js';
import { float32 } from '../../src/tensor/host.js';

/** Sample i is the text "i" with one random value; picture 3 may be broken or of another size. */
class Numbers extends Dataset {
  readonly asked: number[] = [];
  constructor(
    readonly length: number,
    private readonly odd: 'none' | 'broken' | 'large' = 'none',
  ) {
    super();
  }
  override async get(index: number, stream: RandomStream): Promise<Sample> {
    this.asked.push(index);
    if (index === 3 && this.odd === 'broken') throw new UserError('3.png: broken');
    const side = index === 3 && this.odd === 'large' ? 2 : 1;
    return {
      img: float32(new Float32Array(3 * side * side).fill(stream.uniform()), [3, side, side]),
      text: String(index),
    };
  }
}

const loader = (dataset: Dataset, num_workers = 0, shuffle = true, batch_size = 2) =>
  new DataLoader({ batch_size, num_workers, drop_last: false }, dataset, new InfiniteSampler({ shuffle }), new Rng(5));
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

void t.test(
  'the sampler visits every picture once per round, in a new order each round, the same for the same seed',
  async (t) => {
    const order = (seed: number, from: number) => {
      const sampler = new InfiniteSampler({ shuffle: true }),
        rng = new Rng(seed);
      return Array.from({ length: 7 }, (_, i) => sampler.indexAt(from + i, 7, rng));
    };
    t.strictSame([...order(1, 0)].sort(), [0, 1, 2, 3, 4, 5, 6]);
    t.strictSame([...order(1, 7)].sort(), [0, 1, 2, 3, 4, 5, 6]);
    t.notSame(order(1, 0), order(1, 7));
    t.notSame(order(1, 0), order(2, 0));
    t.strictSame(order(1, 700), order(1, 700), 'any place can be asked for directly');
  },
);

void t.test('the sampler without shuffle goes round in order', async (t) => {
  const sampler = new InfiniteSampler({ shuffle: false });
  t.strictSame(
    [0, 1, 2, 3, 4].map((p) => sampler.indexAt(p, 3, new Rng(0))),
    [0, 1, 2, 0, 1],
  );
});

void t.test('a batch is the same whether prefetched, asked for alone, or reached by a jump', async (t) => {
  const prefetching = loader(new Numbers(5), 3),
    plain = loader(new Numbers(5));
  const straight = [];
  for (let i = 0; i < 8; i++) straight.push(await prefetching.batch(i));
  t.strictSame(await plain.batch(7), straight[7]);
  t.strictSame(await plain.batch(2), straight[2]);
  t.strictSame(await prefetching.batch(3), straight[3], 'and back again');
  t.notSame(straight[0][0].img, straight[5][0].img, 'chance differs between iterations');
});

void t.test('num_workers batches are prepared ahead, each once', async (t) => {
  const dataset = new Numbers(100),
    ahead = loader(dataset, 2, false);
  await ahead.batch(0);
  await settled();
  t.strictSame(dataset.asked, [0, 1, 2, 3, 4, 5]);
  await ahead.batch(1);
  await settled();
  t.strictSame(dataset.asked, [0, 1, 2, 3, 4, 5, 6, 7]);
  ahead.close();
  await ahead.batch(2);
  await settled();
  t.strictSame(dataset.asked.slice(8), [4, 5], 'a closed loader prepares nothing');
});

void t.test('an error while prefetching waits for the batch it belongs to', async (t) => {
  const ahead = loader(new Numbers(6, 'broken'), 2, false);
  t.strictSame(
    (await ahead.batch(0)).map(({ text }) => text),
    ['0', '1'],
  );
  await settled();
  await t.rejects(ahead.batch(1), new UserError('3.png: broken'));
  t.strictSame(
    (await ahead.batch(2)).map(({ text }) => text),
    ['4', '5'],
  );
});

void t.test('pictures of different shapes in one batch are refused with the way out', async (t) => {
  await t.rejects(
    loader(new Numbers(6, 'large'), 0, false).batch(1),
    new UserError(
      "train_dataloader.dataset.pipeline: pictures of different shapes in one batch (3x1x1, 3x2x2); add CenterCrop or RandomCrop, or give each batch one shape: MultiAspectRatioResizeCenterCrop and sampler: { type: 'AspectRatioBatchSampler' }",
    ),
  );
});

void t.test('length counts the batches of one round', async (t) => {
  const length = (drop_last: boolean, pictures: number) =>
    new DataLoader(
      { batch_size: 4, num_workers: 0, drop_last },
      new Numbers(pictures),
      new InfiniteSampler({ shuffle: true }),
      new Rng(0),
    ).length;
  t.strictSame([length(false, 9), length(true, 9), length(true, 3)], [3, 2, 1]);
});

void t.test('the cache forgets the least recently used first and stays within its bytes', async (t) => {
  const cache = new ByteLru<string>(10);
  cache.set('a', 'A', 4);
  cache.set('b', 'B', 4);
  cache.get('a');
  cache.set('c', 'C', 4);
  t.strictSame(
    ['a', 'b', 'c'].map((key) => cache.get(key)),
    ['A', undefined, 'C'],
  );
  cache.set('a', 'A2', 6);
  t.strictSame(
    ['a', 'c'].map((key) => cache.get(key)),
    ['A2', 'C'],
    'a new size for a known key counts once',
  );
  cache.set('big', 'X', 11);
  t.strictSame(
    ['a', 'c', 'big'].map((key) => cache.get(key)),
    [undefined, undefined, undefined],
  );
});
