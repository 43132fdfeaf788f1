import t from 'tap';
import { OffsetNoise } from '../../src/models/noise/offset-noise.js';
import { PyramidNoise } from '../../src/models/noise/pyramid-noise.js';
import { WhiteNoise } from '../../src/models/noise/white-noise.js';
import { CubicSamplingTimeSteps } from '../../src/models/timesteps/cubic-sampling-time-steps.js';
import { EarlierTimeSteps } from '../../src/models/timesteps/earlier-time-steps.js';
import { LaterTimeSteps } from '../../src/models/timesteps/later-time-steps.js';
import { RangeTimeSteps } from '../../src/models/timesteps/range-time-steps.js';
import { TimeSteps } from '../../src/models/timesteps/time-steps.js';
import type { Timesteps } from '../../src/models/timesteps/timesteps.js';
import { Rng } from '../../src/base/rng.js';

const stream = () => new Rng(4).stream('noise');
const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, x) => sum + x, 0) / values.length;
const variance = (values: Float32Array): number => {
  const centre = mean(values);
  return mean(values.map((x) => (x - centre) ** 2));
};

void t.test('white noise is the stream itself', async (t) => {
  t.strictSame(new WhiteNoise().sample([4, 3, 2], stream()), stream().normals(24));
});

void t.test('offset noise adds one value per channel to white noise', async (t) => {
  const noise = new OffsetNoise({ offset_weight: 0.5 }).sample([2, 1, 3], stream());
  const draws = stream().normals(8);
  t.strictSame(
    [...noise],
    [0, 1, 2, 3, 4, 5].map((i) => Math.fround(draws[i] + 0.5 * draws[i < 3 ? 6 : 7])),
  );
});

void t.test('pyramid noise has deviation 1 over the sample, and its neighbours resemble each other', async (t) => {
  for (const random_multiplier of [true, false]) {
    const noise = new PyramidNoise({ discount: 0.9, random_multiplier }).sample([4, 32, 48], stream());
    const n = noise.length,
      neighbours = mean(noise.subarray(1).map((x, i) => x * noise[i])) - mean(noise) ** 2;
    t.ok(Math.abs((variance(noise) * n) / (n - 1) - 1) < 1e-5);
    t.ok(neighbours > 0.15, `correlation ${neighbours}; white noise has 0`);
  }
});

void t.test('pyramid noise worked out by hand: levels of 2x2 and 1x1, bilinear from half-pixel centres', async (t) => {
  const noise = new PyramidNoise({ discount: 0.5, random_multiplier: false }).sample([1, 2, 2], stream());
  const draws = stream().normals(9); // the base, level 0 of 2x2, level 1 of one pixel
  const sum = [0, 1, 2, 3].map((i) => draws[i] + draws[4 + i] + 0.5 * draws[8]);
  const deviation = Math.sqrt(sum.reduce((s, x) => s + (x - mean(sum)) ** 2, 0) / 3);
  noise.forEach((x, i) => t.ok(Math.abs(x - sum[i] / deviation) < 1e-6));
});

void t.test('pyramid noise of a wide latent is scaled up along one axis', async (t) => {
  const noise = new PyramidNoise({ discount: 1, random_multiplier: false }).sample([1, 2, 4], stream());
  const draws = stream().normals(18),
    across = [0, 0.25, 0.75, 1]; // level 1 is 1x2: centres at 0.5 and 2.5 of four pixels
  const sum = Array.from(
    { length: 8 },
    (_, i) => draws[i] + draws[8 + i] + draws[16] * (1 - across[i % 4]) + draws[17] * across[i % 4],
  );
  const deviation = Math.sqrt(sum.reduce((s, x) => s + (x - mean(sum)) ** 2, 0) / 7);
  noise.forEach((x, i) => t.ok(Math.abs(x - sum[i] / deviation) < 1e-6));
});

/** Shares of each quarter of 1000 timesteps. */
function quarters(timesteps: Timesteps): number[] {
  const draws = new Rng(9).stream('timesteps'),
    counts = [0, 0, 0, 0],
    n = 20000;
  for (let i = 0; i < n; i++) {
    const step = timesteps.sample(1000, draws);
    if (!Number.isInteger(step) || step < 0 || step > 999) throw new Error(`timestep ${step}`);
    counts[Math.floor(step / 250)]++;
  }
  return counts.map((count) => count / n);
}

const bias = { bias_multiplier: 5, bias_portion: 0.25 };
const generators: readonly [string, Timesteps, number[]][] = [
  ['uniform', new TimeSteps(), [1 / 4, 1 / 4, 1 / 4, 1 / 4]],
  ['earlier: the first quarter weighs 5', new EarlierTimeSteps(bias), [5 / 8, 1 / 8, 1 / 8, 1 / 8]],
  ['later: the last quarter weighs 5', new LaterTimeSteps(bias), [1 / 8, 1 / 8, 1 / 8, 5 / 8]],
  [
    'range: the two middle quarters weigh 5',
    new RangeTimeSteps({ bias_multiplier: 5, bias_begin: 0.25, bias_end: 0.75 }),
    [1 / 12, 5 / 12, 5 / 12, 1 / 12],
  ],
  [
    'nothing preferred: uniform',
    new LaterTimeSteps({ bias_multiplier: 5, bias_portion: 0 }),
    [1 / 4, 1 / 4, 1 / 4, 1 / 4],
  ],
  // P(step < 250 k) = 1 - (1 - k / 4)^(1/3)
  ['cubic', new CubicSamplingTimeSteps(), [0.0914, 0.1149, 0.1637, 0.63]],
];
for (const [title, generator, expected] of generators) {
  void t.test(`timesteps, ${title}`, async (t) => {
    quarters(generator).forEach((share, i) =>
      t.ok(Math.abs(share - expected[i]) < 0.014, `${share} is near ${expected[i]}`),
    ); // 4 standard errors
  });
}

void t.test('timesteps: inside and outside the preferred range every timestep can occur', async (t) => {
  const draws = new Rng(2).stream('all'),
    seen = new Set<number>();
  const range = new RangeTimeSteps({ bias_multiplier: 0.5, bias_begin: 0.3, bias_end: 0.6 });
  for (let i = 0; i < 500; i++) seen.add(range.sample(10, draws));
  t.strictSame([...seen].sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

void t.test('range timesteps: an empty range is refused', async (t) => {
  t.throws(() => new RangeTimeSteps({ bias_multiplier: 5, bias_begin: 0.75, bias_end: 0.25 }), {
    name: 'UserError',
    message: 'timesteps_generator: bias_begin 0.75 is not below bias_end 0.25; swap or widen them',
  });
});
