import { UserError } from '../base/errors.js';
import type { Rng } from '../base/rng.js';
import { DATASETS, type Dataset, type Sample } from './dataset.js';
import { SAMPLERS, type Sampler } from './sampler.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import type { Shape } from '../tensor/host.js';
import type { Build } from '../registry/tokens.js';

/** Schema of `train_dataloader`. */
export const dataLoaderOptions = {
  description: 'Batches of training samples.',
  type: 'object',
  additionalProperties: false,
  required: ['dataset'],
  properties: {
    batch_size: { type: 'integer', minimum: 1, default: 1, description: 'samples per iteration' },
    num_workers: {
      type: 'integer',
      minimum: 0,
      default: 1,
      description: 'batches to prepare in the background, ahead of the one in use',
    },
    drop_last: {
      type: 'boolean',
      default: false,
      description: 'count only full batches as the length of a round; batches are always full',
    },
    dataset: { type: 'object', component: 'DATASETS', description: 'where samples come from' },
    sampler: {
      type: 'object',
      component: 'SAMPLERS',
      default: { type: 'InfiniteSampler' },
      description: 'in which order',
    },
  },
} as const satisfies OptionsSchema;

/** Builds dataset and sampler. Call the dataset's `prepare` before the first batch. */
export function buildDataLoader(options: Output<typeof dataLoaderOptions>, build: Build, rng: Rng): DataLoader {
  return new DataLoader(options, build(DATASETS, options.dataset), build(SAMPLERS, options.sampler), rng);
}

/** Which of several processes asks, each of which takes a batch of every iteration. */
export interface Part {
  readonly rank: number;
  readonly size: number;
}

/**
 * Makes the batch of any iteration: sample j of batch b is number b * batch_size + j of the sampler's endless row, with
 * chance of its own; b is the iteration, or with several processes iteration * size + rank. So batches do not depend on
 * what was loaded before, nor on prefetching.
 */
export class DataLoader {
  private readonly ahead = new Map<number, Promise<Sample[]>>();
  private closed = false;
  private arranged: Promise<void> | undefined;

  constructor(
    private readonly options: Pick<Output<typeof dataLoaderOptions>, 'batch_size' | 'num_workers' | 'drop_last'>,
    readonly dataset: Dataset,
    private readonly sampler: Sampler,
    private readonly rng: Rng,
    private readonly part: Part = { rank: 0, size: 1 },
  ) {}

  /** Batches in one round through the dataset, at least 1. */
  get length(): number {
    const rounds = this.dataset.length / (this.options.batch_size * this.part.size);
    return Math.max(1, this.options.drop_last ? Math.floor(rounds) : Math.ceil(rounds));
  }

  get batchSize(): number {
    return this.options.batch_size;
  }

  /** Number of this process's batch among all of the run. */
  batchOf(iteration: number): number {
    return iteration * this.part.size + this.part.rank;
  }

  /** @param iteration 0-based  @returns batch_size samples, all pictures of one shape */
  batch(iteration: number): Promise<Sample[]> {
    const wanted = this.ahead.get(iteration) ?? this.load(iteration);
    const last = iteration + this.options.num_workers;
    for (const known of this.ahead.keys()) {
      if (known <= iteration || known > last) this.ahead.delete(known); // used, or left behind by a jump
    }
    if (!this.closed)
      void wanted.then(
        () => this.prefetch(iteration + 1, last),
        () => undefined,
      );
    return wanted;
  }

  /** Stops preparing further batches. */
  close(): void {
    this.closed = true;
    this.ahead.clear();
  }

  private prefetch(from: number, to: number): void {
    for (let i = from; i <= to && !this.closed; i++) {
      if (this.ahead.has(i)) continue;
      const batch = this.load(i);
      batch.catch(() => undefined); // whoever asks for this batch gets the error; nobody may ask
      this.ahead.set(i, batch);
    }
  }

  private async load(iteration: number): Promise<Sample[]> {
    const { batch_size } = this.options,
      batch = this.batchOf(iteration);
    if (this.sampler.arrange) await (this.arranged ??= this.arrange());
    const samples = await Promise.all(
      Array.from({ length: batch_size }, (_, j) => {
        const index = this.sampler.indexAt(batch * batch_size + j, this.dataset.length, this.rng);
        return this.dataset.get(index, this.rng.stream('data', batch, j));
      }),
    );
    checkShapes(samples);
    return samples;
  }

  /** Tells the sampler the shape of every picture. */
  private async arrange(): Promise<void> {
    const { dataset, sampler } = this,
      shapes: Shape[] = [];
    for (let i = 0; i < dataset.length; i++)
      shapes.push((await dataset.shapeOf?.(i)) ?? (await dataset.get(i, this.rng.stream('shape', i))).img.shape);
    sampler.arrange?.(shapes, this.options.batch_size);
  }
}

/** What to do about pictures that differ. */
const advice = (samples: readonly Sample[]): string =>
  samples.some(({ prior }) => prior)
    ? 'add CenterCrop or RandomCrop; class pictures need the shape of the others, so leave class_prompt out to train in several'
    : "add CenterCrop or RandomCrop, or give each batch one shape: MultiAspectRatioResizeCenterCrop and sampler: { type: 'AspectRatioBatchSampler' }";

/** Pictures are stacked into one tensor, so they need one shape. */
function checkShapes(samples: readonly Sample[]): void {
  const shapes = new Set(
    samples.flatMap(({ img, prior }) => [img, ...(prior ? [prior.img] : [])].map(({ shape }) => shape.join('x'))),
  );
  if (shapes.size > 1) {
    throw new UserError(
      `train_dataloader.dataset.pipeline: pictures of different shapes in one batch (${[...shapes].join(', ')}); ${advice(samples)}`,
    );
  }
}
