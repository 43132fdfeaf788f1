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
import type { DType } from '../../tensor/host.js';
import type { RefArray } from '../../tensor/primitive.js';
import { leafName, topo, type Node, type Tensor, type WeightSource } from '../../tensor/tensor.js';
import { readWeight } from '../read-weight.js';
import { applied, fromReference, literal, rounded, toReference } from './evaluate.js';

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
      node.outs.forEach((out, i) => values.set(out, rounded(out, results[i])));
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
    if (node.op === 'constant') return [literal(node)];
    if (node.op === 'weight') return [toReference(await readWeight(node.payload as WeightSource, out))];
    if (node.op === 'state') return [this.state(leafName(out)).array];
    if (node.op === 'input') {
      const fed = feeds[leafName(out)];
      if (!fed) throw new Error(`reference: input "${leafName(out)}" was not fed`);
      return [toReference(fed)];
    }
    return applied(node, values);
  }

  private state(name: string): { array: RefArray; dtype: DType } {
    const found = this.values.get(name);
    if (!found) throw new Error(`reference: state "${name}" was never written`);
    return found;
  }
}

declare module '../../registry/kinds.js' {
  interface BackendMap {
    ReferenceBackend: typeof ReferenceBackend;
  }
}
