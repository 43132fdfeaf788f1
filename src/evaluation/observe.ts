/** Pictures drawn with several seeds, looked at by metrics. */
import { bootstrapHalfWidths, studentHalfWidth } from './metrics/interval.js';
import type { Evidence, FeatureExtractor, Metric, Need, Rows } from './metrics/metric.js';
import { mean } from './metrics/vectors.js';
import type { SampleRequest } from '../sampling/sample-request.js';
import { Rng } from '../base/rng.js';
import type { HostTensor } from '../tensor/host.js';
import type { PictureSet } from './pictures.js';

/** What is drawn; one picture per prompt and seed. */
export interface Drawing {
  readonly prompts: readonly string[];
  /** as CLIP reads them, one per prompt */
  readonly texts: readonly string[];
  readonly request: Omit<SampleRequest, 'prompts' | 'seeds' | 'onStep' | 'signal'>;
}

export interface Observer {
  readonly draw: (request: SampleRequest) => AsyncGenerator<HostTensor>;
  readonly metrics: readonly Metric[];
  /** undefined when no metric looks at features */
  readonly features: FeatureExtractor | undefined;
  readonly signal?: AbortSignal;
  /** @param done denoising steps of this seed */
  readonly onStep?: (done: number) => void;
  readonly onPicture?: (index: number, picture: HostTensor) => Promise<void>;
}

/** What was seen of the pictures of one seed. */
export interface Seen {
  readonly generated: Rows;
  readonly texts: Rows;
  readonly judged: ReadonlyMap<Metric, Rows>;
}

/** Evidence that all seeds share. */
export interface Shared extends Pick<Evidence, 'reference' | 'instances'> {
  readonly subject?: ReadonlyMap<Metric, Rows>;
}

/** Pictures in memory at a time. */
const BATCH = 32;
/** Pictures of one seed at most: each has a start noise of its own. */
export const MOST_PICTURES = 1_000_000;

/**
 * Draws the pictures of one seed; picture k starts from the noise of seed * 1,000,000 + k.
 * @returns undefined when the signal stopped it
 */
export async function observe(
  seed: number,
  { prompts, texts: read, request }: Drawing,
  { draw, metrics, features, signal, onStep, onPicture }: Observer,
): Promise<Seen | undefined> {
  const generated: Float32Array[] = [],
    judged = new Map<Metric, Float32Array[]>(),
    batch: HostTensor[] = [];
  const needed = (what: Need): boolean => metrics.some(({ needs }) => needs.includes(what)),
    wanted = needed('generated');
  const texts = needed('texts') && features ? await textFeatures(read, features) : [];
  let done = 0;
  const look = async (): Promise<void> => {
    if (wanted && features) generated.push(...(await features.images(batch)));
    for (const metric of metrics) {
      const rows = await metric.judge?.(batch, prompts.slice(done, done + batch.length));
      if (rows) judged.set(metric, [...(judged.get(metric) ?? []), ...rows]);
    }
    done += batch.length;
    batch.length = 0;
  };
  const seeds = prompts.map((_, k) => seed * MOST_PICTURES + k);
  for await (const picture of draw({
    ...request,
    prompts,
    seeds,
    ...(signal && { signal }),
    ...(onStep && { onStep }),
  })) {
    await onPicture?.(done + batch.length, picture);
    batch.push(picture);
    if (batch.length === BATCH) await look();
  }
  if (batch.length > 0) await look();
  return done === prompts.length ? { generated, texts, judged } : undefined;
}

/** @param count of the set's pictures, from the first @param onBatch told how many are done; may throw to stop */
export async function pictureFeatures(
  set: PictureSet,
  features: Pick<FeatureExtractor, 'images'>,
  count = set.length,
  onBatch?: (done: number) => void,
): Promise<Rows> {
  const rows: Float32Array[] = [];
  while (rows.length < count) {
    onBatch?.(rows.length);
    const batch = await Promise.all(
      Array.from({ length: Math.min(BATCH, count - rows.length) }, (_, i) => set.picture(rows.length + i)),
    );
    rows.push(...(await features.images(batch)));
  }
  return rows;
}

/** What each metric says of pictures of the subject. @param count of the set's pictures, from the first */
export async function subjectRows(
  set: PictureSet,
  metrics: readonly Metric[],
  count = set.length,
): Promise<ReadonlyMap<Metric, Rows>> {
  const found = new Map<Metric, Rows>();
  for (const metric of metrics) {
    const images = metric.judgeSubject?.bind(metric);
    if (images) found.set(metric, await pictureFeatures(set, { images }, count));
  }
  return found;
}

/** One row per text; equal texts are read once. */
async function textFeatures(texts: readonly string[], features: FeatureExtractor): Promise<Rows> {
  const different = [...new Set(texts)],
    rows = await features.texts(different),
    byText = new Map(different.map((text, i) => [text, rows[i]]));
  return texts.map((text) => byText.get(text)!);
}

/** A list from the start again until it is long enough. */
export const repeated = <T>(list: readonly T[], length: number): T[] =>
  Array.from({ length }, (_, i) => list[i % list.length]);

/** One number of the result. */
export interface Score {
  readonly name: string;
  readonly better: Metric['better'];
  /** mean over seeds; with intervals over pictures, the value of all pictures together */
  readonly value: number;
  /** of the 95 % interval; undefined where one seed says nothing of it */
  readonly halfWidth: number | undefined;
  readonly perSeed: readonly number[];
}

/** Replicates: an interval's width is then known to about 5 % (its relative deviation is 1 / sqrt(2 * replicates)). */
const REPLICATES = 200;

/** Where two metrics give their values the same name, as one with two settings does, the second is called `name (2)`. */
export function summarise(
  metrics: readonly Metric[],
  seen: readonly Seen[],
  shared: Shared,
  interval: 'seeds' | 'bootstrap',
): Score[] {
  const times = new Map<string, number>();
  return metrics.flatMap((metric) => {
    const { subject, ...same } = shared,
      ofSubject = subject?.get(metric) ?? [];
    const evidence = (parts: readonly Seen[]): Evidence => ({
      ...same,
      subject: ofSubject,
      generated: parts.flatMap(({ generated }) => generated),
      texts: parts.flatMap(({ texts }) => texts),
      judged: parts.flatMap(({ judged }) => judged.get(metric) ?? []),
    });
    const bySeed = seen.map((one) => metric.scores(evidence([one])));
    const all = interval === 'bootstrap' ? evidence(seen) : undefined,
      pooled = all && metric.scores(all);
    const widths = all && bootstrapHalfWidths(metric, all, new Rng(0).stream('bootstrap'), REPLICATES);
    return Object.keys(bySeed[0]).map((name) => {
      const perSeed = bySeed.map((values) => values[name]),
        time = (times.get(name) ?? 0) + 1;
      times.set(name, time);
      return {
        name: time === 1 ? name : `${name} (${time})`,
        better: metric.better,
        value: pooled?.[name] ?? mean(perSeed),
        halfWidth: widths ? widths[name] : studentHalfWidth(perSeed),
        perSeed,
      };
    });
  });
}

/** A prompt without some words: those that stand for a subject mean nothing to CLIP. */
export function withoutTokens(prompt: string, tokens: readonly string[]): string {
  return prompt
    .split(/\s+/)
    .filter((word) => !tokens.includes(word.replace(/[.,;:!?]+$/, '')))
    .join(' ');
}
