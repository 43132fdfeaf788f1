/**
 * Trainable parameters as backend states. Small ones share one flat vector (hundreds of LoRA matrices cost one optimizer
 * update); large ones keep a state of their own, so that nothing big is copied to be packed.
 */
import type { StateStore } from '../backends/backend.js';
import { sizeOf, totalSizeOf, floats, float32, type HostTensor, type Shape } from '../tensor/host.js';
import { concat, narrow, reshape } from '../tensor/ops.js';
import { substitute } from '../tensor/passes/rewrite.js';
import { fill, leafName, state, type Tensor } from '../tensor/tensor.js';

/** Tensors up to this many elements are packed. */
const PACK_LIMIT = 2 ** 20;
/** A packed vector above twice this length ends in zeros up to a multiple of it, so that backends can cut it into equal chunks. */
const PACK_UNIT = 2 ** 16;
const padded = (size: number): number => (size > 2 * PACK_UNIT ? Math.ceil(size / PACK_UNIT) * PACK_UNIT : size);

interface Entry {
  readonly name: string;
  readonly shape: Shape;
  readonly offset: number;
}
/** `size`: elements of its state, at least those of its entries. */
export interface Bucket {
  readonly id: string;
  readonly size: number;
  readonly entries: readonly Entry[];
}

/** The states that hold a set of weights. Programs on 'base' weights have no parameters to bind. */
export const purposeOf = (weights: string): string => (weights === 'ema' ? 'ema' : 'params');

export class Parameters {
  readonly buckets: readonly Bucket[];
  private readonly where = new Map<string, { bucket: Bucket; entry: Entry }>();

  constructor(readonly shapes: ReadonlyMap<string, Shape>) {
    const small: Entry[] = [],
      large: Bucket[] = [];
    let offset = 0;
    for (const [name, shape] of shapes) {
      const size = sizeOf(shape);
      if (size > PACK_LIMIT) large.push({ id: name, size, entries: [{ name, shape, offset: 0 }] });
      else {
        small.push({ name, shape, offset });
        offset += size;
      }
    }
    this.buckets = small.length > 0 ? [{ id: 'packed', size: padded(offset), entries: small }, ...large] : large;
    for (const bucket of this.buckets)
      for (const entry of bucket.entries) this.where.set(entry.name, { bucket, entry });
  }

  /** Number of trainable values. */
  get count(): number {
    return totalSizeOf(this.shapes);
  }

  /** The backend state that holds a bucket for one purpose: `params`, `ema`, `exp_avg`, ... */
  stateName = (purpose: string, bucket: Bucket): string => `${purpose}/${bucket.id}`;
  stateLeaf = (purpose: string, bucket: Bucket): Tensor => state(this.stateName(purpose, bucket), [bucket.size]);
  stateNames = (purpose: string): string[] => this.buckets.map((b) => this.stateName(purpose, b));

  /** Replaces `parameter` leaves by views of the states of `purpose`. */
  bind(outputs: readonly Tensor[], purpose: string): Tensor[] {
    const leaves = new Map(this.buckets.map((b) => [b, this.stateLeaf(purpose, b)]));
    return substitute(outputs, (leaf) => {
      if (leaf.node.op !== 'parameter') return undefined;
      const found = this.where.get(leafName(leaf));
      if (!found) throw new Error(`parameters: "${leafName(leaf)}" is not a trainable parameter of this run`);
      const flat = leaves.get(found.bucket) as Tensor;
      return reshape(
        narrow(flat, 0, found.entry.offset, found.entry.offset + sizeOf(found.entry.shape)),
        found.entry.shape,
      );
    });
  }

  /** One flat vector per bucket from a tensor per parameter. */
  packSymbolic(of: (name: string) => Tensor): Tensor[] {
    return this.buckets.map((b) => {
      const values = b.entries.map((e) => reshape(of(e.name), [sizeOf(e.shape)])),
        rest = b.size - values.reduce((n, v) => n + v.shape[0], 0);
      return concat(rest > 0 ? [...values, fill(0, [rest])] : values, 0);
    });
  }

  async write(states: StateStore, purpose: string, values: Readonly<Record<string, HostTensor>>): Promise<void> {
    for (const bucket of this.buckets) {
      const flat = new Float32Array(bucket.size);
      for (const { name, offset } of bucket.entries) flat.set(floats(values[name]), offset);
      await states.write(this.stateName(purpose, bucket), float32(flat, [bucket.size]), true);
    }
  }

  async fill(states: StateStore, purpose: string, value: number): Promise<void> {
    for (const b of this.buckets)
      await states.write(this.stateName(purpose, b), float32(new Float32Array(b.size).fill(value), [b.size]), true);
  }

  /** The states of one purpose as those of another. */
  async copy(states: StateStore, from: string, to: string): Promise<void> {
    for (const b of this.buckets)
      await states.write(this.stateName(to, b), await states.read(this.stateName(from, b)), true);
  }

  async read(states: StateStore, purpose: string): Promise<Record<string, HostTensor>> {
    const out: Record<string, HostTensor> = {};
    for (const bucket of this.buckets) {
      const flat = floats(await states.read(this.stateName(purpose, bucket)));
      for (const { name, shape, offset } of bucket.entries)
        out[name] = float32(flat.length === sizeOf(shape) ? flat : flat.slice(offset, offset + sizeOf(shape)), shape);
    }
    return out;
  }
}
