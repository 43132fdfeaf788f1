/** Frozen weights on the device, one copy for all programs, freed with the last program that reads them. */
import type { Tfjs, TfjsTensor } from '../../tensor/primitive.js';
import type { TensorType, WeightSource } from '../../tensor/tensor.js';
import { readWeight } from '../read-weight.js';
import { toTfjs } from './convert.js';

interface Entry { readonly tensor: TfjsTensor; readers: number }

export class WeightCache {
  private readonly entries = new Map<unknown, Entry>();

  constructor(private readonly tf: Tfjs) {}

  /** A tensor of the type's shape, the caller's to dispose; `release` gives up the values. */
  async acquire(source: WeightSource, type: TensorType): Promise<TfjsTensor> {
    const key = keyOf(source, type);
    const entry = this.entries.get(key) ?? { tensor: toTfjs(this.tf, await readWeight(source, type)), readers: 0 };
    this.entries.set(key, entry);
    entry.readers++;
    return this.tf.reshape(entry.tensor, [...type.shape]);
  }

  release(source: WeightSource, type: TensorType): void {
    const key = keyOf(source, type), entry = this.entries.get(key);
    if (!entry || --entry.readers > 0) return;
    entry.tensor.dispose();
    this.entries.delete(key);
  }
}

/** Weights of other shapes, such as a reshaped kernel, are the same bytes. */
const keyOf = (source: WeightSource, { dtype }: TensorType): unknown => ('file' in source ? `${source.file}:${source.offset}:${source.bytes}:${dtype}` : source.value.data);
