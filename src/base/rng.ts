/**
 * Counter-based randomness: a value depends on (seed, stream name, counters) only, never on what was drawn before.
 * So a resumed run equals an uninterrupted one, and any sample can be made again alone.
 * Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
import { UserError } from './errors.js';

const MUL0 = 0xd2511f53,
  MUL1 = 0xcd9e8d57; // round multipliers, Salmon et al. table 2
const WEYL0 = 0x9e3779b9,
  WEYL1 = 0xbb67ae85; // key schedule: golden ratio and sqrt(3) - 1
const ROUNDS = 10;

/** One block of four 32-bit words. `counter` and the result are four words, `key` two. */
export function philox(counter: Uint32Array, key: readonly [number, number], out: Uint32Array): void {
  let c0 = counter[0],
    c1 = counter[1],
    c2 = counter[2],
    c3 = counter[3];
  let k0 = key[0],
    k1 = key[1];
  for (let r = 0; r < ROUNDS; r++) {
    const high0 = mulHigh(MUL0, c0),
      high1 = mulHigh(MUL1, c2);
    const low0 = Math.imul(MUL0, c0),
      low1 = Math.imul(MUL1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL0) | 0;
    k1 = (k1 + WEYL1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** High 32 bits of an unsigned 32x32 product, by 16-bit halves; integer operations only, which V8 keeps in registers. */
function mulHigh(a: number, b: number): number {
  const a0 = a & 0xffff,
    a1 = a >>> 16,
    b0 = b & 0xffff,
    b1 = b >>> 16;
  const middle = (Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16)) | 0;
  const carry = (Math.imul(a0, b1) + (middle & 0xffff)) | 0;
  return (Math.imul(a1, b1) + (middle >>> 16) + (carry >>> 16)) | 0;
}

/** The run's source of randomness. Streams with different names or counters are independent. */
export class Rng {
  /** @param seed an integer, 0 <= seed <= 2^53 - 1 */
  constructor(readonly seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw new UserError(`seed: ${seed} is not a whole number from 0 to 2^53 - 1; choose a smaller one`);
  }

  /** @param counters up to two whole numbers below 2^32, e.g. iteration and sample */
  stream(name: string, first = 0, second = 0): RandomStream {
    return new RandomStream(
      [(this.seed ^ hash(name)) >>> 0, (Math.floor(this.seed / 2 ** 32) ^ hash(`${name}'`)) >>> 0],
      first,
      second,
    );
  }
}

/** FNV-1a, 32 bits: stable across machines, enough to tell stream names apart. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

export class RandomStream {
  private readonly counter: Uint32Array;
  private readonly block = new Uint32Array(4);
  private used = 4;
  private spareNormal: number | undefined;

  constructor(
    private readonly key: readonly [number, number],
    first: number,
    second: number,
  ) {
    this.counter = Uint32Array.from([0, 0, first, second]);
  }

  /** A whole number in [0, 2^32). */
  uint32(): number {
    if (this.used === 4) {
      philox(this.counter, this.key, this.block);
      if (this.counter[0]++ === 0xffffffff) this.counter[1]++;
      this.used = 0;
    }
    return this.block[this.used++];
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(): number {
    return ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) * 2 ** -53;
  }

  /** A whole number in [low, high). */
  int(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low));
  }

  /** Standard normal, Box-Muller. */
  normal(): number {
    if (this.spareNormal !== undefined) {
      const spare = this.spareNormal;
      this.spareNormal = undefined;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.spareNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** `length` standard normals in float32: the same values as that many calls of `normal`. */
  normals(length: number): Float32Array {
    const out = new Float32Array(length);
    for (let i = 0; i < length; i++) out[i] = this.normal();
    return out;
  }

  /** A shuffled 0..n-1 (Fisher-Yates). */
  permutation(n: number): number[] {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.int(0, i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }
}
