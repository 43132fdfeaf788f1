import { inject } from 'inversify';
import { AdamW } from './adamw.js';
import { BLOCK, DynamicMap, type Blocks } from './dynamic-map.js';
import { OPTIMIZERS, Optimizer, type OwnState, type Part, type Update, type WholeUpdate } from './optimizer.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { sizeOf } from '../../tensor/host.js';
import { concat, narrow } from '../../tensor/ops.js';
import { fill, type Tensor } from '../../tensor/tensor.js';
import type { Bucket } from '../parameters.js';

/** Dettmers et al., "8-bit optimizers via block-wise quantization", arXiv 2110.02861; options and states as in bitsandbytes. */
@OPTIMIZERS.register()
export class AdamW8bit extends Optimizer {
  static readonly options = {
    description: 'AdamW whose moments take 2 bytes per parameter instead of 8.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...AdamW.options.properties,
      min_8bit_size: {
        type: 'integer',
        minimum: 0,
        default: 4096,
        description: 'moments of parameters with fewer values keep 32 bits',
      },
    },
  } as const satisfies OptionsSchema;
  readonly slots = [];
  readonly lr: number;
  private readonly adam: AdamW;
  private readonly maps = [new DynamicMap(true), new DynamicMap(false)] as const;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof AdamW8bit.options>) {
    super();
    this.lr = opts.lr;
    this.adam = new AdamW(opts);
  }

  /** Those of AdamW. */
  hyper(step: number, lr: number): readonly number[] {
    return this.adam.hyper(step, lr);
  }

  override own(buckets: readonly Bucket[]): readonly OwnState[] {
    return buckets.flatMap((bucket) => {
      const { packed, plain } = this.sizes(bucket);
      const states = (name: string, size: number, dtype: 'uint8' | 'float32'): OwnState[] =>
        size === 0 ? [] : [1, 2].map((k) => ({ name: `${name}${k}/${bucket.id}`, dtype, shape: [size], start: 0 }));
      return [
        ...states('state', packed, 'uint8'),
        ...states('absmax', packed / BLOCK, 'float32'),
        ...states('state32_', plain, 'float32'),
      ];
    });
  }

  override updateAll(parts: readonly Part[], hyper: readonly Tensor[], own: readonly Tensor[]): WholeUpdate {
    const names = this.own(parts.map(({ bucket }) => bucket)).map(({ name }) => name),
      next = new Map<string, Tensor>();
    const updates = parts.map(({ bucket, param, grad }) => {
      const ranges = this.ranges(bucket),
        name = (of: string, k: number): string => `${of}${k}/${bucket.id}`,
        old = (of: string, k: number): Tensor => own[names.indexOf(name(of, k))];
      const one = (isPacked: boolean, moments: readonly Tensor[]): Update =>
        this.adam.update(take(param, ranges, isPacked), take(grad, ranges, isPacked), moments, hyper);
      const { packed, plain } = this.sizes(bucket),
        values = new Map<boolean, Tensor>();
      if (packed > 0) {
        const moments = this.maps.map((map, k) =>
          map.unpack({ codes: old('state', k + 1), absmax: old('absmax', k + 1) }),
        );
        const { param: value, slots } = one(true, moments);
        values.set(true, value);
        for (const [k, map] of this.maps.entries()) {
          const { codes, absmax }: Blocks = map.pack(slots[k]);
          next.set(name('state', k + 1), codes).set(name('absmax', k + 1), absmax);
        }
      }
      if (plain > 0) {
        const { param: value, slots } = one(
          false,
          [1, 2].map((k) => old('state32_', k)),
        );
        values.set(false, value);
        slots.forEach((slot, k) => next.set(name('state32_', k + 1), slot));
      }
      return { param: put(values, ranges), slots: [] };
    });
    return { parts: updates, own: names.map((name) => next.get(name) as Tensor) };
  }

  /** Lengths of a bucket's states, of 8 and of 32 bits. */
  private sizes(bucket: Bucket): { packed: number; plain: number } {
    const total = (isPacked: boolean): number =>
      this.ranges(bucket)
        .filter((range) => range.isPacked === isPacked)
        .reduce((n, range) => n + range.length, 0);
    return { packed: total(true), plain: total(false) };
  }

  /** The parameters of a bucket in order, neighbours of a kind together; each begins a block of its own. */
  private ranges({ entries, size }: Bucket): Range[] {
    const ranges: Range[] = [];
    const append = (length: number, isPacked: boolean): void => {
      const last = ranges.at(-1),
        rest = isPacked ? -length & (BLOCK - 1) : 0;
      if (last?.isPacked === isPacked && last.end - last.start === last.length)
        ranges[ranges.length - 1] = { ...last, end: last.end + length, length: last.length + length + rest };
      else {
        const start = last?.end ?? 0;
        ranges.push({ start, end: start + length, length: length + rest, isPacked });
      }
    };
    for (const { shape } of entries) append(sizeOf(shape), sizeOf(shape) >= this.opts.min_8bit_size);
    const used = ranges.at(-1)?.end ?? 0;
    if (used < size) append(size - used, false);
    return ranges;
  }
}

/** Elements [start, end) of a bucket's vector; `length` with the zeros that fill its last block. */
interface Range {
  readonly start: number;
  readonly end: number;
  readonly length: number;
  readonly isPacked: boolean;
}

/** Those of one kind behind each other. */
const take = (x: Tensor, ranges: readonly Range[], isPacked: boolean): Tensor =>
  concat(
    ranges
      .filter((range) => range.isPacked === isPacked)
      .flatMap(({ start, end, length }) => {
        const rest = length - (end - start);
        return [narrow(x, 0, start, end), ...(rest > 0 ? [fill(0, [rest])] : [])];
      }),
    0,
  );

/** The opposite of `take`, of both kinds. */
function put(values: ReadonlyMap<boolean, Tensor>, ranges: readonly Range[]): Tensor {
  const at = new Map([
    [true, 0],
    [false, 0],
  ]);
  return concat(
    ranges.map(({ start, end, length, isPacked }) => {
      const from = at.get(isPacked) as number;
      at.set(isPacked, from + length);
      return narrow(values.get(isPacked) as Tensor, 0, from, from + end - start);
    }),
    0,
  );
}

declare module '../../registry/kinds.js' {
  interface OptimizerMap {
    AdamW8bit: typeof AdamW8bit;
  }
}
