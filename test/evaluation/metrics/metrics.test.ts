/** The metrics against closed forms and scipy, on literal features. */
import t, { type Test } from 'tap';
import { ClipImageScore } from '../../../src/evaluation/metrics/clip-image-score.js';
import { ClipMMD } from '../../../src/evaluation/metrics/clip-mmd.js';
import { ClipScore } from '../../../src/evaluation/metrics/clip-score.js';
import { FrechetDistance } from '../../../src/evaluation/metrics/frechet-distance.js';
import { bootstrapHalfWidths, studentHalfWidth, tQuantile } from '../../../src/evaluation/metrics/interval.js';
import { Metric, type Evidence, type Rows } from '../../../src/evaluation/metrics/metric.js';
import { cholesky, eigenvalues, sandwich } from '../../../src/evaluation/metrics/symmetric.js';
import { Rng } from '../../../src/base/rng.js';

const rows = (...values: number[][]): Rows => values.map((row) => Float32Array.from(row));
const evidence = (parts: Partial<Evidence>): Evidence => ({
  generated: [],
  texts: [],
  reference: [],
  instances: [],
  subject: [],
  judged: [],
  ...parts,
});
const close = (t: Test, actual: number, expected: number, tolerance = 1e-9): void =>
  void t.ok(Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)), `${actual} is ${expected}`);
const fd = (generated: Rows, reference: Rows): number =>
  new FrechetDistance().scores(evidence({ generated, reference }))['FD'];
const cmmd = (generated: Rows, reference: Rows, options = { sigma: 10, scale: 1000 }): number =>
  new ClipMMD(options).scores(evidence({ generated, reference }))['CMMD'];

/** Quarters, exact in float32; the same numbers were given to scipy. */
const pattern = (n: number, d: number, a: number, b: number): Rows =>
  Array.from({ length: n }, (_, i) =>
    Float32Array.from({ length: d }, (_, j) => (((i * a + j * b + i * j * 3) % 11) - 5) / 4),
  );

void t.test(
  'FrechetDistance: between axis-parallel Gaussians, the squared distances of means and of deviations',
  (t) => {
    // deviations (2, 4) / sqrt 3 around (0, 0), and (4, 2) / sqrt 3 around (3, 4): 25 + 4/3 + 4/3
    const wide = rows([1, 2], [1, -2], [-1, 2], [-1, -2]),
      tall = rows([5, 5], [5, 3], [1, 5], [1, 3]);
    close(t, fd(wide, tall), 25 + 8 / 3);
    close(t, fd(tall, wide), 25 + 8 / 3);
    t.end();
  },
);

void t.test(
  'FrechetDistance: equals numpy and scipy.linalg.sqrtm, with fewer pictures than dimensions, and with more',
  (t) => {
    const many = pattern(30, 6, 7, 3);
    for (const [few, expected] of [
      [pattern(4, 6, 5, 2), 2.897164703338449],
      [pattern(25, 6, 4, 5), 1.0629730661052585],
    ] as const) {
      close(t, fd(few, many), expected, 1e-6); // both covariances are singular: roots of rounding errors
      close(t, fd(many, few), expected, 1e-6);
    }
    t.end();
  },
);

void t.test(
  'FrechetDistance: nothing between a set and itself, in any order; a set moved aside is its distance squared away',
  (t) => {
    const set = pattern(20, 5, 7, 3);
    close(t, fd(set, set), 0);
    close(t, fd([...set].reverse(), set), 0);
    close(
      t,
      fd(
        set.map((row) => row.map((v, i) => v + i)),
        set,
      ),
      0 + 1 + 4 + 9 + 16,
    );
    t.equal(fd(rows([1, 2]), rows([1, 4])), 4, 'single pictures have no spread');
    t.end();
  },
);

void t.test('eigenvalues: equal to numpy.linalg.eigvalsh, and exact where they are known', (t) => {
  const A = Float64Array.from({ length: 49 }, (_, at) => {
    const i = Math.floor(at / 7),
      j = at % 7;
    return (2 * (((i * 7 + j * 7 + i * j) % 13) - 6)) / 3;
  });
  [-8.16021964, -7.69036797, -4.13034881, -1.69449365, 3.74670881, 6.08632717, 6.50906075].forEach((v, i) =>
    close(t, eigenvalues(A, 7)[i], v, 1e-8),
  );
  t.strictSame([...eigenvalues(Float64Array.of(3), 1)], [3]);
  t.strictSame([...eigenvalues(new Float64Array(9), 3)], [0, 0, 0]);
  [-1, 3].forEach((v, i) => close(t, eigenvalues(Float64Array.of(1, 2, 2, 1), 2)[i], v, 1e-15));
  const n = 60; // of the second difference: 2 - 2 cos(k pi / (n + 1))
  const chain = Float64Array.from({ length: n * n }, (_, at) => [2, -1][Math.abs(Math.floor(at / n) - (at % n))] ?? 0);
  eigenvalues(chain, n).forEach((v, k) => close(t, v, 2 - 2 * Math.cos(((k + 1) * Math.PI) / (n + 1)), 1e-14));
  t.end();
});

void t.test("cholesky: L L' is the matrix, singular ones too", (t) => {
  for (const matrix of [
    [4, 2, 2, 5],
    [1, 1, 1, 1],
    [0, 0, 0, 3],
    [0, 0, 0, 0],
  ]) {
    const L = cholesky(Float64Array.from(matrix), 2);
    t.strictSame(
      [...sandwich(L, Float64Array.of(1, 0, 0, 1), 2, 2)].map((v) => Number(v.toFixed(12))),
      matrix,
    );
    t.equal(L[1], 0);
  }
  t.end();
});

void t.test("ClipMMD: closed form for two points, nothing between equal sets, numbers of the authors' formula", (t) => {
  // |x - y|^2 = 2, so 1000 (1 + 1 - 2 exp(-2 / 200))
  close(t, cmmd(rows([3, 0]), rows([0, 0.5])), 19.90033250166401);
  close(t, cmmd(rows([3, 0]), rows([0, 0.5]), { sigma: 1, scale: 1 }), 2 * (1 - Math.exp(-1)));
  close(t, cmmd(pattern(6, 4, 5, 2), pattern(6, 4, 5, 2)), 0);
  close(t, cmmd(rows([2, 0]), rows([7, 0])), 0, 1e-12);
  close(t, cmmd(pattern(4, 6, 5, 2), pattern(30, 6, 7, 3)), 1.9017684139648328);
  t.end();
});

void t.test('ClipScore: mean cosine of each picture and its own text', (t) => {
  const seen = evidence({ generated: rows([2, 0], [3, 4]), texts: rows([0, 5], [1, 0]) });
  close(t, new ClipScore({ scale: 1 }).scores(seen)['CLIP-T'], (0 + 0.6) / 2);
  close(t, new ClipScore({ scale: 100 }).scores(seen)['CLIP-T'], 30);
  t.end();
});

void t.test('ClipImageScore: mean cosine over all pairs of generated picture and picture of the subject', (t) => {
  const seen = evidence({ generated: rows([1, 0], [0, 2]), instances: rows([5, 0], [3, 4], [-1, 0]) });
  close(t, new ClipImageScore({ scale: 1 }).scores(seen)['CLIP-I'], (1 + 0.6 - 1 + 0 + 0.8 + 0) / 6);
  t.end();
});

void t.test('a metric looks anew at other references', (t) => {
  const metric = new FrechetDistance(),
    generated = rows([0], [2]);
  close(t, metric.scores(evidence({ generated, reference: rows([0], [2]) }))['FD'], 0);
  close(t, metric.scores(evidence({ generated, reference: rows([3], [5]) }))['FD'], 9);
  t.end();
});

void t.test("quantiles of Student's t are those of the tables", (t) => {
  for (const [degrees, expected] of [
    [1, 12.7062],
    [2, 4.3027],
    [9, 2.2622],
    [30, 2.0423],
    [31, 2.0395],
    [40, 2.0211],
    [60, 2.0003],
    [120, 1.9799],
    [1000, 1.9623],
  ]) {
    t.equal(Number(tQuantile(degrees).toFixed(4)), expected, String(degrees));
  }
  t.end();
});

void t.test('the interval over seeds is t times the standard error; one seed says nothing', (t) => {
  close(t, studentHalfWidth([1, 2, 3]) ?? NaN, 4.3027 / Math.sqrt(3));
  t.equal(studentHalfWidth([5, 5]), 0);
  t.equal(studentHalfWidth([5]), undefined);
  t.end();
});

void t.test('the interval over pictures is near 1.96 standard errors of a mean, and equal each time', (t) => {
  const cosines = Array.from({ length: 50 }, (_, i) => (i % 10) / 10);
  const seen = evidence({
    generated: cosines.map((c) => Float32Array.of(c, Math.sqrt(1 - c * c))),
    texts: cosines.map(() => Float32Array.of(1, 0)),
  });
  const width = (): number =>
    bootstrapHalfWidths(new ClipScore({ scale: 1 }), seen, new Rng(0).stream('bootstrap'), 2000)['CLIP-T'];
  const error = Math.sqrt(0.0825 / 50); // of 0, 0.1, ... 0.9
  close(t, width() / (1.96 * error), 1, 0.06);
  t.equal(width(), width());
  t.end();
});

/** The mean of the rows that are not negative; nothing where there are none. */
class MeanOfAsked extends Metric {
  override readonly needs = [];
  override readonly better = 'higher';
  override scores({ judged }: Evidence): Readonly<Record<string, number>> {
    const asked = judged.map(([v]) => v).filter((v) => v >= 0);
    return asked.length > 0 ? { mean: asked.reduce((a, b) => a + b) / asked.length } : {};
  }
}

void t.test('an interval over pictures: replicates without a value do not count', (t) => {
  const seen = evidence({ judged: rows([1], [0], [-1], [-1]) });
  const { mean } = bootstrapHalfWidths(new MeanOfAsked(), seen, new Rng(0).stream('bootstrap'), 4000);
  // Of replicates with k >= 1 asked pictures (probability C(4, k) / 15), the variance of the mean is 1 / (4 k).
  const variance = [4, 6, 4, 1].reduce((sum, ways, i) => sum + ways / 15 / (4 * (i + 1)), 0);
  close(t, mean / (1.959964 * Math.sqrt(variance)), 1, 0.05);
  t.strictSame(
    bootstrapHalfWidths(new MeanOfAsked(), evidence({ judged: rows([-1], [-1]) }), new Rng(0).stream('bootstrap'), 10),
    {},
  );
  t.end();
});
