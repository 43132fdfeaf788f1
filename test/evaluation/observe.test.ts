import t from 'tap';
import { scoreTable } from '../../src/evaluation/evaluation-text.js';
import { observe, summarise, withoutTokens } from '../../src/evaluation/observe.js';
import { ClipScore } from '../../src/evaluation/metrics/clip-score.js';
import type { FeatureExtractor } from '../../src/evaluation/metrics/metric.js';
import type { SampleRequest } from '../../src/sampling/sample-request.js';
import type { HostTensor } from '../../src/tensor/host.js';

void t.test(
  'the table has as many digits as the interval supports; bounds of a metric itself stand in for one seed',
  (t) => {
    const score = (name: string, value: number, half: number | null) => ({
      name,
      better: 'lower' as const,
      value,
      half_width_95: half,
    });
    t.strictSame(
      scoreTable([score('FD', 12.3456, 0.0567), score('wide', 1234, 321), score('sure', 1, 0)], '95 % over seeds'),
      [
        '         value  95 % over seeds',
        'FD ↓    12.346  ± 0.057   12.289 to 12.402',
        'wide ↓    1234  ± 321   913 to 1555',
        'sure ↓   1.000  ± 0.000   1.000 to 1.000',
      ],
    );
    t.strictSame(
      scoreTable(
        [
          { ...score('accuracy', 0.9, null), better: 'higher' },
          score('accuracy low', 0.85, null),
          score('accuracy high', 0.93, null),
          score('FD', 3, null),
          score('low', 1, null),
        ],
        '95 % over seeds',
      ).slice(1),
      [
        'accuracy ↑  0.9000  0.8500 to 0.9300, over pictures',
        'FD ↓         3.000  one seed',
        'low ↓        1.000  one seed',
      ],
    );
    t.end();
  },
);

void t.test('words that CLIP is not shown are left out whole, also before a comma', (t) => {
  t.equal(withoutTokens('a photo of sks dog', ['sks']), 'a photo of dog');
  t.equal(withoutTokens('sks, the dog of sksville', ['sks', 'the']), 'dog of sksville');
  t.equal(withoutTokens('a  photo', []), 'a photo');
  t.end();
});

/** Sees a picture's first pixel as an angle, and reads the length of a text as one. */
const eyes = (asked: string[][], batches: number[]): FeatureExtractor => ({
  dimension: 2,
  fingerprint: 'eyes',
  images: async (pictures) => {
    batches.push(pictures.length);
    return pictures.map(({ data }) => Float32Array.of(Math.cos(Number(data[0])), Math.sin(Number(data[0]))));
  },
  texts: async (prompts) => {
    asked.push([...prompts]);
    return prompts.map((prompt) => Float32Array.of(Math.cos(prompt.length), Math.sin(prompt.length)));
  },
});
async function* lengths({ prompts }: SampleRequest): AsyncGenerator<HostTensor> {
  for (const prompt of prompts) yield { dtype: 'uint8', shape: [1, 1, 3], data: Uint8Array.of(prompt.length, 0, 0) };
}

void t.test('pictures are looked at in batches, each against its own text; equal texts are read once', async (t) => {
  const asked: string[][] = [],
    batches: number[] = [],
    requests: SampleRequest[] = [],
    prompts = Array.from({ length: 70 }, (_, i) => 'x'.repeat(1 + (i % 3)));
  const metric = new ClipScore({ scale: 1 }),
    request = { steps: 1, guidance_scale: 1, height: 8, width: 8 };
  const look = (texts: readonly string[]) =>
    observe(
      3,
      { prompts, texts, request },
      {
        metrics: [metric],
        features: eyes(asked, batches),
        draw: (one) => {
          requests.push(one);
          return lengths(one);
        },
      },
    );
  const same = await look(prompts),
    longer = await look(prompts.map((prompt) => `${prompt}x`));
  t.strictSame(batches.slice(0, 3), [32, 32, 6]);
  t.strictSame(asked[0], ['x', 'xx', 'xxx']);
  t.strictSame(requests[0].seeds.slice(0, 2), [3_000_000, 3_000_001]);
  t.ok(same && longer);
  if (!same || !longer) return;
  const [score] = summarise([metric], [same, longer], { reference: [], instances: [] }, 'seeds');
  t.strictSame(
    score.perSeed.map((v) => v.toFixed(6)),
    ['1.000000', Math.cos(1).toFixed(6)],
  );
  t.equal(score.value.toFixed(6), ((1 + Math.cos(1)) / 2).toFixed(6));
  t.equal(
    score.halfWidth?.toFixed(5),
    ((12.7062 * (1 - Math.cos(1))) / 2).toFixed(5),
    't of one degree of freedom, times the standard error',
  );
});

void t.test('a drawing that stops early is no result', async (t) => {
  const request = { steps: 1, guidance_scale: 1, height: 8, width: 8 };
  const seen = await observe(
    0,
    { prompts: ['a', 'b'], texts: ['a', 'b'], request },
    { metrics: [], features: undefined, draw: (one) => lengths({ ...one, prompts: ['a'] }) },
  );
  t.equal(seen, undefined);
});
