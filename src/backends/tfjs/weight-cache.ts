/** Frozen weights on the device, one copy for all programs, freed with the last program that reads them. */
import type { Tfjs, TfjsTensor } from '../../tensor/primitive.js';
import type { TensorType, WeightSource } from '../../tensor/tensor.js';
import { readWeight } from '../read-weight.js';
import { toTfjs } from './convert.js';
import { seenAs, type Turn } from './plan.js';

interface Entry {
  readonly tensor: TfjsTensor;
  readers: number;
}

/** A weight, maybe in another order of elements; its shape is up to the reader. */
export interface Wanted {
  readonly source: WeightSource;
  readonly type: TensorType;
  readonly turn?: Turn;
}

export class WeightCache {
  private readonly entries = new Map<string, Entry>();
  private readonly ids = new WeakMap<object, number>();
  private nextId = 0;

  constructor(private readonly tf: Tfjs) {}

  /** Stays the cache's own; `release` gives it up. */
  async acquire(wanted: Wanted): Promise<TfjsTensor> {
    const key = this.key(wanted),
      entry = this.entries.get(key) ?? { tensor: await this.load(wanted), readers: 0 };
    this.entries.set(key, entry);
    entry.readers++;
    return entry.tensor;
  }

  release(wanted: Wanted): void {
    const key = this.key(wanted),
      entry = this.entries.get(key);
    if (!entry || --entry.readers > 0) return;
    entry.tensor.dispose();
    this.entries.delete(key);
  }

  private async load({ source, type, turn }: Wanted): Promise<TfjsTensor> {
    const host = await readWeight(source, type);
    return this.tf.tidy(() => {
      const tensor = toTfjs(this.tf, host);
      return turn ? this.tf.transpose(seenAs(this.tf, tensor, turn.shape), [...turn.perm]) : tensor;
    });
  }

  /** Weights of other shapes, such as a reshaped kernel, are the same bytes. */
  private key({ source, type: { dtype }, turn }: Wanted): string {
    return JSON.stringify([
      'file' in source ? [source.file, source.offset, source.bytes] : this.id(source.value.data),
      dtype,
      turn ?? null,
    ]);
  }

  private id(data: object): number {
    const id = this.ids.get(data) ?? this.nextId++;
    this.ids.set(data, id);
    return id;
  }
}
