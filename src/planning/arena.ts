/**
 * ONNX Runtime's memory arena, played through: a best-fit allocator with coalescing that takes regions from the system,
 * each twice the last, and never gives them back (onnxruntime/core/framework/bfc_arena.cc, its defaults).
 */

/** The arena's defaults (OrtArenaCfg). */
const ALIGNMENT = 256,
  FIRST_REGION = 2 ** 20,
  MAX_GROWTH = 2 ** 30,
  MAX_DEAD_BYTES = 128 * 2 ** 20;

/** A piece of a region. Neighbours are linked, so that free ones can be joined. */
export interface Chunk {
  readonly region: Region;
  readonly start: number;
  size: number;
  free: boolean;
  before: Chunk | undefined;
  after: Chunk | undefined;
}

/** Memory that is mapped costs nothing until it is written. */
interface Region {
  readonly pages: Uint8Array;
}
const PAGE = 2 ** 16;

export class Arena {
  /** Bytes that were ever written to: they stay resident. */
  residentBytes = 0;
  /** free chunks, smallest first */
  private readonly free: Chunk[] = [];
  private nextRegion = FIRST_REGION;

  /** @param bytes may be 0, which still takes the smallest piece */
  allocate(bytes: number): Chunk {
    const wanted = Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT;
    const chunk = this.take(wanted) ?? this.extend(wanted);
    if (chunk.size >= wanted * 2 || chunk.size - wanted >= MAX_DEAD_BYTES) this.split(chunk, wanted);
    chunk.free = false;
    this.touch(chunk, bytes);
    return chunk;
  }

  release(chunk: Chunk): void {
    let joined = chunk;
    if (joined.after?.free) joined = this.join(joined, this.remove(joined.after));
    if (joined.before?.free) joined = this.join(this.remove(joined.before), joined);
    joined.free = true;
    this.insert(joined);
  }

  /** The smallest that fits. */
  private take(wanted: number): Chunk | undefined {
    const at = this.position(wanted);
    return at < this.free.length ? this.free.splice(at, 1)[0] : undefined;
  }

  private extend(wanted: number): Chunk {
    const before = this.nextRegion;
    while (this.nextRegion < wanted) this.nextRegion *= 2;
    const size = this.nextRegion;
    if (size === before) this.nextRegion = Math.min(this.nextRegion * 2, MAX_GROWTH);
    return {
      region: { pages: new Uint8Array(Math.ceil(size / PAGE)) },
      start: 0,
      size,
      free: true,
      before: undefined,
      after: undefined,
    };
  }

  private split(chunk: Chunk, wanted: number): void {
    const rest: Chunk = {
      region: chunk.region,
      start: chunk.start + wanted,
      size: chunk.size - wanted,
      free: true,
      before: chunk,
      after: chunk.after,
    };
    if (chunk.after) chunk.after.before = rest;
    chunk.after = rest;
    chunk.size = wanted;
    this.insert(rest);
  }

  private join(left: Chunk, right: Chunk): Chunk {
    left.size += right.size;
    left.after = right.after;
    if (right.after) right.after.before = left;
    return left;
  }

  private touch({ region: { pages }, start }: Chunk, bytes: number): void {
    for (let page = Math.floor(start / PAGE); page * PAGE < start + bytes; page++) {
      if (pages[page]) continue;
      pages[page] = 1;
      this.residentBytes += PAGE;
    }
  }

  private insert(chunk: Chunk): void {
    this.free.splice(this.position(chunk.size), 0, chunk);
  }

  private remove(chunk: Chunk): Chunk {
    this.free.splice(this.free.indexOf(chunk), 1);
    return chunk;
  }

  /** Of the first free chunk of at least this size. */
  private position(size: number): number {
    let from = 0,
      to = this.free.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.free[middle].size < size) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
