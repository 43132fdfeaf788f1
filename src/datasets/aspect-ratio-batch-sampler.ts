import { inject } from 'inversify';
import type { Logger } from '../base/logger.js';
import type { Rng } from '../base/rng.js';
import { SAMPLERS, Sampler } from './sampler.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';
import type { Shape } from '../tensor/host.js';

/** Pictures of one shape. */
interface Bucket {
  readonly shape: string;
  readonly indices: readonly number[];
}

@SAMPLERS.register()
export class AspectRatioBatchSampler extends Sampler {
  static readonly options = {
    description:
      'Batches of one shape each, for a pipeline that leaves pictures in several. A round shows every picture; the last batch of a shape is filled up with more of its pictures.',
    type: 'object',
    additionalProperties: false,
    properties: {
      shuffle: { type: 'boolean', default: true, description: 'false: shape after shape, in the order of the dataset' },
    },
  } as const satisfies OptionsSchema;

  private buckets: readonly Bucket[] = [];
  private batchSize = 1;
  /** The last rounds made. Prefetching looks at two at a time, so keep two. */
  private readonly rounds = new Map<string, readonly (readonly number[])[]>();

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof AspectRatioBatchSampler.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  override arrange(shapes: readonly Shape[], batchSize: number): void {
    const found = new Map<string, number[]>();
    for (const [index, [, height, width]] of shapes.entries()) {
      const shape = `${width}x${height}`;
      found.set(shape, [...(found.get(shape) ?? []), index]);
    }
    this.buckets = [...found].map(([shape, indices]) => ({ shape, indices }));
    this.batchSize = batchSize;
    const counts = this.buckets.map(({ shape, indices }) => `${indices.length} of ${shape}`).join(', ');
    this.log.info(`shapes     ${counts}; ${this.batches} batches of ${batchSize} a round`);
  }

  /** in a round */
  private get batches(): number {
    return this.buckets.reduce((n, { indices }) => n + Math.ceil(indices.length / this.batchSize), 0);
  }

  override indexAt(position: number, _length: number, rng: Rng): number {
    const batch = Math.floor(position / this.batchSize),
      round = Math.floor(batch / this.batches);
    return this.round(round, rng)[batch % this.batches][position % this.batchSize];
  }

  /** The batches of a round: a function of the seed and its number alone. */
  private round(number: number, rng: Rng): readonly (readonly number[])[] {
    const key = `${rng.seed}/${number}`,
      known = this.rounds.get(key);
    if (known) return known;
    const { shuffle } = this.opts,
      stream = rng.stream('sampler', number);
    const ordered = <T>(list: readonly T[]): readonly T[] =>
      shuffle ? stream.permutation(list.length).map((i) => list[i]) : list;
    const batches = this.buckets.flatMap(({ indices }) => {
      const row = ordered(indices);
      return Array.from({ length: Math.ceil(row.length / this.batchSize) }, (_, b) =>
        Array.from({ length: this.batchSize }, (_v, j) => row[(b * this.batchSize + j) % row.length]),
      );
    });
    const round = ordered(batches);
    this.rounds.set(key, round);
    if (this.rounds.size > 2) this.rounds.delete(this.rounds.keys().next().value!);
    return round;
  }
}

declare module '../registry/kinds.js' {
  interface SamplerMap {
    AspectRatioBatchSampler: typeof AspectRatioBatchSampler;
  }
}
