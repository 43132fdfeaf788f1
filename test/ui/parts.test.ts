/** What the page and the report compute themselves. Vite loads it, as it builds them. */
import t from 'tap';
import { runnerImport } from 'vite';

type Curve = { iter: number[]; value: number[] };
const load = async <T>(file: string): Promise<T> => (await runnerImport<T>(`./ui/${file}`)).module;
const { smooth, columns, valueAt } = await load<{
  smooth: (values: number[], weight: number) => number[];
  columns: (curves: Curve[], positive: boolean) => (number | null)[][];
  valueAt: (column: (number | null)[], row: number | null) => number | null;
}>('parts/curves.ts');
const { appended, nextIter } = await load<{
  appended: (
    old: Record<string, Curve> | undefined,
    fresh: Record<string, Curve>,
    from: number,
  ) => Record<string, Curve>;
  nextIter: (scalars: Record<string, Curve> | undefined) => number;
}>('page/scalars.ts');
const { differences } = await load<{
  differences: (texts: string[]) => { path: string; values: (string | undefined)[] }[];
}>('page/differences.ts');
const words = await load<{
  number: (value: number | undefined) => string;
  duration: (seconds: number) => string;
  ago: (time: number, now: number) => string;
}>('parts/words.ts');

void t.test('smoothing is a running mean that starts at the first value and passes over what is no number', (t) => {
  t.strictSame(smooth([4, 0], 0), [4, 0]);
  // weight 0.5: 4; (0.25 * 4 + 0.5 * 0) / 0.75; (0.125 * 4 + 0.25 * 0 + 0.5 * 7) / 0.875
  const [first, second, third] = smooth([4, 0, 7], 0.5);
  t.strictSame([first, second], [4, 1 / 0.75]);
  t.ok(Math.abs(third - 4 / 0.875) < 1e-12);
  t.strictSame(smooth([4, NaN, 4], 0.5), [4, NaN, 4]);
  t.end();
});

void t.test('curves share an axis of all iterations; a logarithmic one has no place for zero', (t) => {
  const a = { iter: [0, 1, 2], value: [1, 0, -1] },
    b = { iter: [1, 3], value: [5, 6] };
  t.strictSame(columns([a, a], false), [a.iter, a.value, a.value]);
  t.strictSame(columns([a, b], true), [
    [0, 1, 2, 3],
    [1, null, null, null],
    [null, 5, null, 6],
  ]);
  t.strictSame(columns([], false), [[]]);
  t.equal(valueAt([1, null, null], 2), 1, 'the value before a gap');
  t.equal(valueAt([null, 2], null), 2, 'the last one without a pointer');
  t.equal(valueAt([null, 2], 0), null);
  t.end();
});

void t.test('curves grow; a resumed run writes iterations again', (t) => {
  const old = { loss: { iter: [0, 1, 2], value: [10, 11, 12] }, lr: { iter: [0], value: [1] } };
  t.equal(nextIter(undefined), 0);
  t.equal(nextIter(old), 3);
  t.strictSame(appended(old, { loss: { iter: [3], value: [13] } }, 3)['loss'], {
    iter: [0, 1, 2, 3],
    value: [10, 11, 12, 13],
  });
  t.strictSame(appended(old, { loss: { iter: [1], value: [21] } }, 1), {
    loss: { iter: [0, 1], value: [10, 21] },
    lr: { iter: [0], value: [1] },
  });
  t.strictSame(appended(old, {}, 0), {}, 'all was asked for');
  t.end();
});

void t.test('configs differ by the paths of --cfg-options; a list is one value', (t) => {
  t.strictSame(differences(['a: { b: 1, c: [1, 2] }\nsame: x', 'a: { b: 2, c: [1] }\nsame: x\nonly: {}', 'a: [']), [
    { path: 'a.b', values: ['1', '2', undefined] },
    { path: 'a.c', values: ['[1,2]', '[1]', undefined] },
    { path: 'only', values: [undefined, '{}', undefined] },
    { path: 'same', values: ['x', 'x', undefined] },
  ]);
  t.strictSame(differences(['a: 1', 'a: 1']), []);
  t.end();
});

void t.test('numbers and times in words', (t) => {
  t.strictSame([0.09609, 0.002, 1234, 1234567, 0, undefined, NaN].map(words.number), [
    '0.09609',
    '2.00e-3',
    '1,234',
    '1.23e+6',
    '0',
    '–',
    'NaN',
  ]);
  t.strictSame([0.012, 3.44, 59.4, 59.6, 125, 3600, 7384].map(words.duration), [
    '0.01 s',
    '3.4 s',
    '59 s',
    '1 min 00 s',
    '2 min 05 s',
    '1 h 00 min',
    '2 h 03 min',
  ]);
  t.strictSame(
    [100, 30, -200, -7100, -90_000, -300_000].map((time) => words.ago(time, 100)),
    ['just now', '1 min ago', '5 min ago', '2 h ago', '1 day ago', '3 days ago'],
  );
  t.end();
});
