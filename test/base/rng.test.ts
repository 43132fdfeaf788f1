import t from 'tap';
import { philox, Rng } from '../../src/base/rng.js';

const block = (counter: number[], key: [number, number]): string[] => {
  const out = new Uint32Array(4);
  philox(Uint32Array.from(counter), key, out);
  return [...out].map((word) => word.toString(16).padStart(8, '0'));
};

void t.test('philox: known answers of Random123 (kat_vectors, philox4x32 10)', async (t) => {
  t.strictSame(block([0, 0, 0, 0], [0, 0]), ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']);
  t.strictSame(block([0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff]), [
    '408f276d',
    '41c83b0e',
    'a20bc7c6',
    '6d5451fd',
  ]);
  t.strictSame(block([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]), [
    'd16cfe09',
    '94fdcceb',
    '5001e420',
    '24126ea1',
  ]);
});

void t.test('rng: a stream depends on seed, name and counters, and on nothing else', async (t) => {
  const first = (seed: number, name: string, iteration = 0, sample = 0): number =>
    new Rng(seed).stream(name, iteration, sample).uint32();
  const reference = first(7, 'noise', 3, 1);
  t.equal(first(7, 'noise', 3, 1), reference);
  const others = [
    first(8, 'noise', 3, 1),
    first(7 + 2 ** 32, 'noise', 3, 1),
    first(7, 'crop', 3, 1),
    first(7, 'noise', 4, 1),
    first(7, 'noise', 3, 2),
    first(7, 'noise', 1, 3),
  ];
  t.equal(new Set([reference, ...others]).size, 7);
});

void t.test('rng: a seed is a whole number from 0 to 2^53 - 1', async (t) => {
  for (const seed of [-1, 0.5, 2 ** 53, NaN])
    t.throws(() => new Rng(seed), /seed: .* is not a whole number from 0 to 2\^53 - 1/);
  t.doesNotThrow(() => new Rng(2 ** 53 - 1));
});

void t.test('normals: mean 0, variance 1, skewness 0, kurtosis 3, neighbours uncorrelated', async (t) => {
  const n = 65536,
    values = new Rng(1).stream('moments').normals(n);
  const moment = (k: number): number => values.reduce((sum, x) => sum + x ** k, 0) / n;
  const near = (actual: number, expected: number, deviation: number, what: string): void => {
    t.ok(Math.abs(actual - expected) < (4 * deviation) / Math.sqrt(n), `${what} is ${actual}`); // 4 standard errors
  };
  near(moment(1), 0, 1, 'mean');
  near(moment(2), 1, Math.sqrt(2), 'second moment');
  near(moment(3), 0, Math.sqrt(15), 'third moment');
  near(moment(4), 3, Math.sqrt(96), 'fourth moment');
  near(values.reduce((sum, x, i) => sum + x * values[(i + 1) % n], 0) / n, 0, 1, 'correlation of neighbours');
});

void t.test('normals: the same values as single calls, in float32', async (t) => {
  const [one, other] = [new Rng(5).stream('x', 2), new Rng(5).stream('x', 2)];
  t.strictSame(
    [...one.normals(5)],
    Array.from({ length: 5 }, () => Math.fround(other.normal())),
  );
  t.equal(one.normal(), other.normal(), 'and the stream goes on from the same place');
});

void t.test('uniform: in [0, 1) with mean 1/2; int covers its range evenly', async (t) => {
  const stream = new Rng(3).stream('u'),
    n = 30000;
  const values = Array.from({ length: n }, () => stream.uniform());
  t.ok(values.every((u) => u >= 0 && u < 1));
  t.ok(Math.abs(values.reduce((sum, u) => sum + u, 0) / n - 0.5) < 4 / Math.sqrt(12 * n));
  const counts = new Map<number, number>();
  for (let i = 0; i < n; i++) {
    const k = stream.int(-1, 2);
    counts.set(k, (counts.get(k) ?? 0) + 1);
  }
  t.strictSame([...counts.keys()].sort(), [-1, 0, 1]);
  for (const count of counts.values()) t.ok(Math.abs(count - n / 3) < 4 * Math.sqrt((n * 2) / 9));
});

void t.test('permutation: each order of three is equally likely', async (t) => {
  const stream = new Rng(11).stream('shuffle'),
    counts = new Map<string, number>();
  for (let i = 0; i < 6000; i++) {
    const order = stream.permutation(3).join('');
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  t.strictSame([...counts.keys()].sort(), ['012', '021', '102', '120', '201', '210']);
  for (const count of counts.values()) t.ok(Math.abs(count - 1000) < 4 * Math.sqrt(1000 * (5 / 6)), String(count));
});
