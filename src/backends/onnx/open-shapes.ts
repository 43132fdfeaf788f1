/** Vectors of sizes that a model computes from the shapes of what it is fed. */
import type { Emitter } from '../../tensor/primitive.js';
import type { OpenProduct, OpenSizes } from './open-sizes.js';
import type { ValueInfo } from './proto.js';

const AXIS_0 = { axis: { i: 0 } };

export class OpenShapes {
  private readonly known = new Map<string, string>();

  /** @param inputs of the graph, with stand-ins in their shapes; grows while the graph is emitted */
  constructor(
    private readonly sizes: OpenSizes,
    private readonly emit: Emitter,
    private readonly inputs: readonly ValueInfo[],
  ) {}

  /** By axis, what the file calls a size that it leaves open. */
  names(shape: readonly number[]): (string | undefined)[] {
    return shape.map((size) => this.sizes.product(size)).map((product) => product && this.sizes.text(product));
  }

  /** An int64 vector of sizes; undefined when all of them are known. */
  vector(values: readonly number[]): string | undefined {
    const products = values.map((value) => this.sizes.product(value));
    if (products.every((product) => product === undefined)) return undefined;
    const parts = values.map((value, i) => {
      const product = products[i];
      return product ? this.size(product) : this.emit.ints([value]);
    });
    return parts.length === 1 ? parts[0] : this.once(`[${parts}]`, () => this.emit.node('Concat', parts, 1, AXIS_0)[0]);
  }

  /** int64 [1] */
  private size(product: OpenProduct): string {
    const { factor, divisor, powers } = product;
    return this.once(this.sizes.text(product), () => {
      const factors = powers.flatMap((power, i) =>
        power > 0 ? Array<string>(power).fill(this.fed(this.sizes.sizes[i].name)) : [],
      );
      if (factor > 1) factors.push(this.emit.ints([factor]));
      const whole = factors.reduce((a, b) => this.emit.node('Mul', [a, b], 1)[0]);
      return divisor > 1 ? this.emit.node('Div', [whole, this.emit.ints([divisor])], 1)[0] : whole;
    });
  }

  private fed(name: string): string {
    return this.once(`fed ${name}`, () => {
      const wanted = this.sizes.standIn(name),
        input = this.inputs.find(({ shape }) => shape.includes(wanted));
      if (!input) throw new Error(`emit: no input has the open size "${name}"`);
      const [shape] = this.emit.node('Shape', [input.name], 1);
      return this.emit.node('Gather', [shape, this.emit.ints([input.shape.indexOf(wanted)])], 1, AXIS_0)[0];
    });
  }

  private once(key: string, make: () => string): string {
    const name = this.known.get(key) ?? make();
    this.known.set(key, name);
    return name;
  }
}
