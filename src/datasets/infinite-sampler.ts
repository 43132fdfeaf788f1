import { inject } from 'inversify';
import type { Rng } from '../base/rng.js';
import { SAMPLERS, Sampler } from './sampler.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { OPTIONS } from '../registry/tokens.js';

@SAMPLERS.register()
export class InfiniteSampler extends Sampler {
  static readonly options = {
    description: 'Goes through the dataset again and again, each time in a new order. Batches may span two rounds.',
    type: 'object',
    additionalProperties: false,
    properties: {
      shuffle: { type: 'boolean', default: true, description: 'false: always in the order of the dataset' },
    },
  } as const satisfies OptionsSchema;

  /** The last orders drawn. Prefetching looks at two epochs at a time, so keep two. */
  private readonly orders = new Map<string, number[]>();

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof InfiniteSampler.options>) {
    super();
  }

  override indexAt(position: number, length: number, rng: Rng): number {
    const epoch = Math.floor(position / length),
      place = position % length;
    return this.opts.shuffle ? this.order(epoch, length, rng)[place] : place;
  }

  private order(epoch: number, length: number, rng: Rng): number[] {
    const key = `${rng.seed}/${epoch}/${length}`;
    const known = this.orders.get(key);
    if (known) return known;
    const order = rng.stream('sampler', epoch).permutation(length);
    this.orders.set(key, order);
    if (this.orders.size > 2) this.orders.delete(this.orders.keys().next().value!);
    return order;
  }
}

declare module '../registry/kinds.js' {
  interface SamplerMap {
    InfiniteSampler: typeof InfiniteSampler;
  }
}
