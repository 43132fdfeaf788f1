/** Interprets programs with the primitives' reference rules in float64: slow, simple, and the oracle of the tests. */
import { inject } from 'inversify';
import {
  BACKENDS,
  rootsOf,
  type Backend,
  type Executable,
  type Feeds,
  type Fetches,
  type Program,
  type StateStore,
} from '../backend.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import type { DType, HostTensor, TypedArray } from '../../tensor/host.js';
import { bfloat16ToFloat, float16ToFloat, floatToBfloat16, floatToFloat16 } from '../../tensor/half.js';
import { primitive, type RefArray } from '../../tensor/primitive.js';
import { leafName, topo, type Node, type Tensor, type WeightSource } from '../../tensor/tensor.js';
import { readWeight } from '../read-weight.js';

@BACKENDS.register()
export class ReferenceBackend implements Backend {
  static readonly options = {
    description:
      'Runs every primitive in plain TypeScript, float64. For tests: thousands of times slower than the others.',
    type: 'object',
    additionalProperties: false,
    properties: {},
  } as const satisfies OptionsSchema;
  readonly name = 'reference';
  private readonly values = new Map<string, { array: RefArray; dtype: DType }>();

  constructor(@inject(OPTIONS) _options: Output<typeof ReferenceBackend.options>) {}

  readonly states: StateStore = {
    write: async (name, value) => void this.values.set(name, { array: toReference(value), dtype: value.dtype }),
    type: async (name) => ({ dtype: this.state(name).dtype, shape: this.state(name).array.shape }),
    read: async (name) => {
      const { array, dtype } = this.state(name);
      return fromReference(array, dtype);
    },
    delete: async (name) => void this.values.delete(name),
  };

  async compile(program: Program): Promise<Executable> {
    const order = topo(rootsOf(program));
    return { run: (feeds) => this.run(program, order, feeds), dispose: async () => {} };
  }

  async dispose(): Promise<void> {
    this.values.clear();
  }

  private async run(program: Program, order: readonly Node[], feeds: Feeds): Promise<Fetches> {
    const values = new Map<Tensor, RefArray>();
    for (const node of order) {
      const results = await this.evaluate(node, values, feeds);
      node.outs.forEach((out, i) =>
        values.set(out, out.dtype === 'float16' ? toReference(fromReference(results[i], 'float16')) : results[i]),
      );
    }
    const value = (t: Tensor): RefArray => values.get(t) as RefArray;
    // States have their dtype's precision, not float64: what is read, saved and written back must be what was there.
    const updates = Object.entries(program.updates ?? {}).map(
      ([name, t]) => [name, { array: toReference(fromReference(value(t), t.dtype)), dtype: t.dtype }] as const,
    );
    for (const [name, next] of updates) this.values.set(name, next);
    return Object.fromEntries(
      Object.entries(program.outputs).map(([name, t]) => [name, fromReference(value(t), t.dtype)]),
    );
  }

  private async evaluate(node: Node, values: Map<Tensor, RefArray>, feeds: Feeds): Promise<readonly RefArray[]> {
    const [out] = node.outs;
    if (node.op === 'constant') return [toReference(node.payload as HostTensor)];
    if (node.op === 'weight') return [toReference(await readWeight(node.payload as WeightSource, out))];
    if (node.op === 'state') return [this.state(leafName(out)).array];
    if (node.op === 'input') {
      const fed = feeds[leafName(out)];
      if (!fed) throw new Error(`reference: input "${leafName(out)}" was not fed`);
      return [toReference(fed)];
    }
    const result = primitive(node.op).reference(
      node.inputs.map((i) => values.get(i) as RefArray),
      node.attrs,
      node.outs,
    );
    return Array.isArray(result) ? (result as RefArray[]) : [result as RefArray];
  }

  private state(name: string): { array: RefArray; dtype: DType } {
    const found = this.values.get(name);
    if (!found) throw new Error(`reference: state "${name}" was never written`);
    return found;
  }
}

export function toReference({ dtype, shape, data }: HostTensor): RefArray {
  if (dtype === 'float16') return { shape, data: Float64Array.from(data as Uint16Array, float16ToFloat) };
  if (dtype === 'bfloat16') return { shape, data: Float64Array.from(data as Uint16Array, bfloat16ToFloat) };
  return { shape, data: Float64Array.from(data as ArrayLike<number>, Number) };
}

/** How numbers become elements of a dtype: rounded to its precision. */
const ELEMENTS: Record<DType, (numbers: Float64Array) => TypedArray> = {
  float32: (numbers) => Float32Array.from(numbers),
  float16: (numbers) => Uint16Array.from(numbers, floatToFloat16),
  bfloat16: (numbers) => Uint16Array.from(numbers, floatToBfloat16),
  int32: (numbers) => Int32Array.from(numbers),
  int64: (numbers) => BigInt64Array.from(Array.from(numbers, BigInt)),
  uint8: (numbers) => Uint8Array.from(numbers),
  bool: (numbers) => Uint8Array.from(numbers, (v) => Number(v !== 0)),
};

const fromReference = ({ shape, data }: RefArray, dtype: DType): HostTensor => ({
  dtype,
  shape,
  data: ELEMENTS[dtype](data),
});

declare module '../../registry/kinds.js' {
  interface BackendMap {
    ReferenceBackend: typeof ReferenceBackend;
  }
}
