/** A program, run node by node: every value is freed when its last reader has run. */
import { setImmediate } from 'node:timers/promises';
import { primitive, type Tfjs, type TfjsTensor } from '../../tensor/primitive.js';
import { isLeaf, leafName, topo, type Node, type Tensor, type WeightSource } from '../../tensor/tensor.js';
import type { HostTensor } from '../../tensor/host.js';
import { typeText } from '../../tensor/print.js';
import type { Feeds, Fetches, Program } from '../backend.js';
import { fromTfjs, toTfjs } from './convert.js';
import type { WeightCache } from './weight-cache.js';

/** Operations block the thread; this often, timers, signals and progress bars get their turn. */
const BREATH_MS = 50;

/** Values of state leaves. @throws Error for a name that was never written */
export interface States {
  get(name: string): TfjsTensor;
  /** Takes the tensor over; the one before it is freed. */
  put(name: string, value: TfjsTensor): void;
}

interface Step {
  readonly node: Node;
  /** values that nobody reads after this step */
  readonly last: readonly Tensor[];
}

export class TfjsProgram {
  private readonly steps: readonly Step[];
  /** constants and weights, on the device as long as the program */
  private readonly frozen = new Map<Tensor, TfjsTensor>();

  private constructor(private readonly tf: Tfjs, private readonly program: Program, order: readonly Node[], private readonly weights: WeightCache) {
    this.steps = schedule(order.filter((node) => !isLeaf(node)), results(program));
  }

  /** @throws Error for a parameter without a value, or a weight that cannot be read */
  static async load(tf: Tfjs, program: Program, weights: WeightCache): Promise<TfjsProgram> {
    const order = topo(results(program)), loaded = new TfjsProgram(tf, program, order, weights);
    try {
      for (const { op, outs: [out], payload } of order) {
        if (op === 'parameter') throw new Error(`parameter "${leafName(out)}" is not bound to a state`);
        if (op === 'constant') loaded.frozen.set(out, toTfjs(tf, payload as HostTensor));
        if (op === 'weight') loaded.frozen.set(out, await weights.acquire(payload as WeightSource, out));
      }
      return loaded;
    } catch (error) {
      loaded.dispose();
      throw error;
    }
  }

  async run(feeds: Feeds, states: States): Promise<Fetches> {
    const fed = new Map<string, TfjsTensor>(), live = new Map<Tensor, TfjsTensor>();
    const value = (t: Tensor): TfjsTensor => this.frozen.get(t) ?? live.get(t) ?? this.leaf(t, feeds, fed, states);
    try {
      let breath = performance.now();
      for (const { node, last } of this.steps) {
        const outs = this.evaluate(node, node.inputs.map(value));
        node.outs.forEach((out, i) => live.set(out, outs[i]));
        for (const t of last) free(live, t);
        if (performance.now() - breath < BREATH_MS) continue;
        await setImmediate();
        breath = performance.now();
      }
      const fetched: Fetches = {};
      for (const [name, t] of Object.entries(this.program.outputs)) fetched[name] = await fromTfjs(value(t), t.dtype, t.shape);
      // All are computed from the old states before the first is replaced. A clone shares the values.
      const updates = Object.entries(this.program.updates ?? {}).map(([name, t]) => [name, this.tf.clone(value(t))] as const);
      for (const [name, next] of updates) states.put(name, next);
      return fetched;
    } finally {
      for (const tensor of [...live.values(), ...fed.values()]) tensor.dispose();
    }
  }

  dispose(): void {
    for (const [{ node, ...type }, tensor] of this.frozen) {
      tensor.dispose();
      if (node.op === 'weight') this.weights.release(node.payload as WeightSource, type);
    }
    this.frozen.clear();
  }

  private leaf(t: Tensor, feeds: Feeds, fed: Map<string, TfjsTensor>, states: States): TfjsTensor {
    const name = leafName(t);
    if (t.node.op === 'state') return states.get(name);
    const known = fed.get(name);
    if (known) return known;
    if (!feeds[name]) throw new Error(`input "${name}" was not fed; fed: ${Object.keys(feeds).join(', ')}`);
    const tensor = toTfjs(this.tf, feeds[name]);
    fed.set(name, tensor);
    return tensor;
  }

  private evaluate(node: Node, inputs: readonly TfjsTensor[]): readonly TfjsTensor[] {
    try {
      const outs = this.tf.tidy(() => [primitive(node.op).tfjs(this.tf, inputs, node.attrs, node.outs)].flat() as TfjsTensor[]);
      const wrong = node.outs.findIndex((out, i) => !sameShape(out.shape, outs[i].shape));
      if (wrong >= 0) throw new Error(`gave [${outs[wrong].shape}] for result ${wrong}`);
      return outs;
    } catch (error) {
      throw new Error(`${node.op}(${node.inputs.map(typeText).join(', ')}) -> ${node.outs.map(typeText).join(', ')}: ${(error as Error).message}`, { cause: error });
    }
  }
}

const results = ({ outputs, updates = {} }: Program): Tensor[] => [...Object.values(outputs), ...Object.values(updates)];
const sameShape = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

function free(live: Map<Tensor, TfjsTensor>, t: Tensor): void {
  live.get(t)?.dispose();
  live.delete(t);
}

/** When each value dies: after its last reader, or at once when it has none; results stay. */
function schedule(order: readonly Node[], kept: readonly Tensor[]): Step[] {
  const lastReader = new Map<Tensor, number>();
  order.forEach((node, i) => [...node.outs, ...node.inputs].forEach((t) => lastReader.set(t, i)));
  for (const t of kept) lastReader.delete(t);
  const dying = order.map((): Tensor[] => []);
  for (const [t, i] of lastReader) if (!isLeaf(t.node)) dying[i].push(t);
  return order.map((node, i) => ({ node, last: dying[i] }));
}
