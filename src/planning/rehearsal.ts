/**
 * A run in which nothing is computed: the model opens its weights and the dataset its pictures, then each kind of thing
 * that the run would do is done once, on a backend that takes down programs and counts their runs.
 */
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Executor } from '../backends/executor.js';
import type { ClassImageRequest, Dataset } from '../datasets/dataset.js';
import { image } from '../datasets/image/picture-file.js';
import { PICTURE_CACHE_BYTES } from '../datasets/pipeline.js';
import { MOMENTS_CACHE_BYTES } from '../sampling/encoding-cache.js';
import type { Model } from '../models/model.js';
import type { SampleRequest } from '../sampling/sample-request.js';
import type { Rng } from '../base/rng.js';
import { checkAllDrawings } from '../engine/check-all-drawings.js';
import { classImageFingerprint } from '../engine/class-image-generator.js';
import { Parameters, purposeOf } from '../engine/parameters.js';
import type { PlanBackend, PlannedProgram } from './plan-backend.js';
import { RunHooks } from '../engine/run-hooks.js';
import type { RunParts } from '../engine/run-parts.js';
import { TrainStep } from '../engine/train-step.js';

/** Parts of a job, in the order of a run. */
export const PHASES = ['class pictures', 'encoding', 'training', 'hooks', 'validation pictures'] as const;
export type Phase = (typeof PHASES)[number];

export interface Rehearsed {
  readonly trained: number;
  readonly frozen: number;
  /** pictures in a batch, class pictures included */
  readonly rows: number;
  /** height and width */
  readonly picture: readonly [number, number];
  /** what the run keeps beside its programs: decoded pictures, latents */
  readonly cacheBytes: number;
}

/** Of one sample: from how many of them differ, the number of its variants is guessed. */
const DRAWS = 8;

/**
 * @param parts of a run, built on `backend`
 * @param cacheDir of the real run: class pictures that are there need not be made
 * @param scratch a folder for what must be on disk meanwhile
 */
export async function rehearse(
  parts: RunParts,
  backend: PlanBackend,
  cacheDir: string,
  scratch: string,
): Promise<Rehearsed> {
  const { model, loader, maxIters, hooks } = parts;
  const count =
    (phase: Phase) =>
    (times: number, inside: () => Promise<unknown>, passing = false) =>
      backend.count(phase, times, inside, passing);
  await checkAllDrawings(parts);
  await model.load();
  const parameters = new Parameters(model.parameters());
  model.executor = new Executor(backend, (outputs, weights) => parameters.bind(outputs, purposeOf(weights)));
  try {
    const classPictures = await prepareDataset(parts, backend, cacheDir, scratch, count('class pictures'));
    const batch = await rehearseFeeds(parts, backend, classPictures);
    await rehearseSteps(new TrainStep({ ...parts, parameters }), parts, batch.feeds, count('training'));
    await new RunHooks(hooks).plan({
      parameters,
      maxIters,
      config: parts.config,
      weights: 'current',
      runs: async (program, times) =>
        void (await count('hooks')(times, async () => (await backend.compile(program)).run({}))),
      draws: (request, times) => drawn(model, request, times, count('validation pictures')),
    });
    return {
      trained: parameters.count,
      frozen: model.counts.frozen,
      rows: batch.rows,
      picture: batch.picture,
      cacheBytes: batch.cacheBytes,
    };
  } finally {
    loader.close();
  }
}

type Count = (times: number, inside: () => Promise<unknown>, passing?: boolean) => Promise<unknown>;

/** The first time, texts are encoded that later ones find. @param passing the model is freed again */
async function drawn(
  model: Model,
  request: SampleRequest,
  times: number,
  count: Count,
  passing = false,
): Promise<void> {
  const draw = async (): Promise<void> => {
    const pictures = model.sample(request);
    for (let next = await pictures.next(); !next.done; next = await pictures.next());
  };
  if (times > 0) await count(1, draw, passing);
  if (times > 1) await count(times - 1, draw, passing);
}

/** Lets the dataset prepare with blank class pictures. @returns how many there are */
async function prepareDataset(
  { model, loader, log, rng, datasetServices, otherModel }: RunParts,
  backend: PlanBackend,
  cacheDir: string,
  scratch: string,
  count: Count,
): Promise<number> {
  const folder = join(scratch, 'class-images'),
    known = new Set<string>(),
    wanted: { request: ClassImageRequest; missing: number }[] = [];
  let all = 0;
  const generateClassImages = async (request: ClassImageRequest): Promise<void> => {
    const {
        seeds,
        size: { height, width },
        onImage,
      } = request,
      blank = image(new Uint8Array(height * width * 3), height, width);
    for (const i of seeds.keys()) await onImage(i, blank);
    const [key] = (await readdir(folder)).filter((name) => !known.has(name));
    known.add(key);
    all += seeds.length;
    const there = (await readdir(join(cacheDir, 'class-images', key)).catch(() => [])).filter((name) =>
      name.endsWith('.png'),
    );
    wanted.push({ request, missing: Math.max(0, seeds.length - there.length) });
  };
  await loader.dataset.prepare?.({
    ...datasetServices,
    checkPictures: 1,
    cacheDir: scratch,
    logger: log,
    seed: rng.seed,
    generateClassImages,
    modelFingerprint: classImageFingerprint({ model, otherModel }),
  });
  for (const { request, missing } of wanted) {
    const {
        model: id,
        prompt,
        seeds: [seed],
        size,
        steps,
        guidance,
        rescale,
        scheduler,
      } = request,
      second = id === undefined ? undefined : otherModel(id);
    if (missing > 0) await second?.load();
    if (second) second.executor = new Executor(backend, (outputs) => [...outputs]);
    await drawn(
      second ?? model,
      {
        prompts: [prompt],
        seeds: [seed],
        steps,
        guidance_scale: guidance,
        ...(rescale === undefined ? {} : { guidance_rescale: rescale }),
        ...(scheduler === undefined ? {} : { scheduler }),
        ...size,
        weights: 'base',
      },
      missing,
      count,
      second !== undefined,
    );
  }
  return all;
}

/** Real batches become feeds; what is computed for them is foretold for the whole run. */
async function rehearseFeeds({ model, loader, rng, maxIters }: RunParts, backend: PlanBackend, classPictures: number) {
  const tries = ['first batch', 'first batch again', 'second batch'] as const;
  const samples = [await loader.batch(0), await loader.batch(0), await loader.batch(1)];
  const fed = [];
  for (const [i, name] of tries.entries())
    fed.push(await backend.count(name, 1, () => model.feeds(samples[i], { iteration: i, rng })));
  const pictures = samples[0].flatMap((s) => (s.prior ? [s.img, s.prior.img] : [s.img])),
    [, height, width] = pictures[0].shape;
  const drawn = maxIters * loader.batchSize,
    variants = loader.dataset.augmented ? await variantsOf(loader.dataset, rng) : 1;
  const distinct =
    contents(loader.dataset.length, variants, drawn) +
    (samples[0][0].prior ? contents(classPictures || Infinity, variants, drawn) : 0);
  let cacheBytes = Math.min(PICTURE_CACHE_BYTES, (loader.dataset.length + classPictures) * height * width * 3);
  for (const program of backend.programs) {
    const runs = tries.map((name) => takeRuns(program, name));
    if (runs.every((n) => n === 0)) continue;
    const total = encodings(
      runs,
      maxIters,
      distinct * program.fetchedBytes > MOMENTS_CACHE_BYTES ? Infinity : distinct,
    );
    program.runs.set('encoding' satisfies Phase, total);
    cacheBytes += Math.min(MOMENTS_CACHE_BYTES, total * program.fetchedBytes);
  }
  return { feeds: fed[0], rows: pictures.length, picture: [height, width] as const, cacheBytes };
}

function takeRuns({ runs }: PlannedProgram, phase: string): number {
  const found = runs.get(phase) ?? 0;
  runs.delete(phase);
  return found;
}

/** Runs in all iterations, from those for a batch, the same again, and another one. @param distinct results that a cache may hold */
function encodings([first, again, second]: readonly number[], maxIters: number, distinct: number): number {
  const each = Math.max(first, second) * maxIters;
  if (again > 0) return each; // not kept
  return second === 0 ? first : Math.min(each, Math.round(distinct));
}

/** How many different pictures the transforms make of one. */
async function variantsOf(dataset: Dataset, rng: Rng): Promise<number> {
  const seen = new Set<string>();
  for (let i = 0; i < DRAWS; i++) {
    const {
      img: { data },
    } = await dataset.get(0, rng.stream('plan', i));
    seen.add(
      createHash('sha1')
        .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
        .digest('hex'),
    );
  }
  if (seen.size === DRAWS) return Infinity;
  let variants = seen.size;
  while (contents(1, variants, DRAWS) < seen.size - 0.5) variants++;
  return variants;
}

/** Expected number of different contents among draws from so many pictures with so many variants each. */
function contents(pictures: number, variants: number, draws: number): number {
  const all = pictures * variants;
  return Number.isFinite(all) ? all * (1 - (1 - 1 / all) ** draws) : draws;
}

/** One iteration of each kind: with and, when gradients are accumulated, without an update. */
async function rehearseSteps(
  step: TrainStep,
  { maxIters, accumulativeCounts }: RunParts,
  feeds: Awaited<ReturnType<Model['feeds']>>,
  count: Count,
): Promise<void> {
  const updates = Math.ceil(maxIters / accumulativeCounts);
  if (maxIters > updates) await count(maxIters - updates, () => step.run(feeds, { iteration: 0, lr: 0 }));
  await count(updates, () => step.run(feeds, { iteration: Math.min(accumulativeCounts, maxIters) - 1, lr: 0 }));
}
