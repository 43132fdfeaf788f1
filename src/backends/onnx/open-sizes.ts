/**
 * Sizes that an ONNX file leaves open, such as the batch. Our graphs have static shapes, so a graph is built for stand-in
 * sizes: each has a prime factor that no other size of the graph has. Every number in a shape then tells which open sizes it
 * is a product of, and the file computes it from the shapes of what it is fed. Whether that is so is checked, not believed:
 * two sets of stand-ins must give the same file.
 */
import { sizeOf } from '../../tensor/host.js';

/** One size that stays open. */
export interface OpenSize {
  /** as in the file: `batch_size` */
  readonly name: string;
  /** it is a multiple of this, and the graph may divide it by as much; 1 for any size */
  readonly multiple: number;
  /** what it will mostly be; decides how large products are cut, changes no value */
  readonly usual: number;
}

/** A size as a product: `factor / divisor` times open sizes to these powers. */
export interface OpenProduct {
  readonly factor: number;
  readonly divisor: number;
  /** by the order of the sizes */
  readonly powers: readonly number[];
}

/** From these primes; the text encoder's 77 tokens and most widths have others. */
const PRIMES = [13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97];

export class OpenSizes {
  private constructor(
    readonly sizes: readonly OpenSize[],
    private readonly primes: readonly number[],
  ) {}

  /**
   * Two sets with different stand-ins.
   * @param others sizes that the graph has beside the open ones: no stand-in shares a prime with them
   */
  static pair(sizes: readonly OpenSize[], others: Iterable<number>): readonly [OpenSizes, OpenSizes] {
    const taken = [...new Set(others)],
      free = PRIMES.filter((prime) => taken.every((n) => n % prime !== 0));
    if (free.length < 2 * sizes.length)
      throw new RangeError(`open sizes: the graph has the sizes ${taken.join(', ')}; too few primes are left`);
    const set = (from: number): OpenSizes => new OpenSizes(sizes, free.slice(from, from + sizes.length));
    return [set(0), set(sizes.length)];
  }

  /** The stand-in of a size. */
  standIn(name: string): number {
    const at = this.sizes.findIndex((size) => size.name === name);
    return this.primes[at] * this.sizes[at].multiple;
  }

  /** What a size of the graph is made of; undefined where no open size is in it. */
  product(size: number): OpenProduct | undefined {
    if (size <= 0) return undefined;
    let factor = size,
      divisor = 1;
    const powers = this.primes.map((prime, i) => {
      let power = 0;
      for (; factor % prime === 0; power++) {
        factor /= prime;
        divisor *= this.sizes[i].multiple;
      }
      return power;
    });
    if (powers.every((power) => power === 0)) return undefined;
    const common = gcd(factor, divisor);
    return { factor: factor / common, divisor: divisor / common, powers };
  }

  /** What a size of the graph will mostly be. */
  usual(size: number): number {
    const product = this.product(size);
    if (!product) return size;
    const all = sizeOf(this.sizes.map(({ usual }, i) => usual ** product.powers[i]));
    return Math.round((all * product.factor) / product.divisor);
  }

  /** How a file writes it: `batch_size`, `height*width/4`. */
  text({ factor, divisor, powers }: OpenProduct): string {
    const parts = this.sizes.flatMap(({ name }, i) => Array<string>(powers[i]).fill(name));
    return `${[...(factor > 1 ? [String(factor)] : []), ...parts].join('*')}${divisor > 1 ? `/${divisor}` : ''}`;
  }
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
