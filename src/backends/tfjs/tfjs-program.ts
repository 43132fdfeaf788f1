/** A program, run call by call: every value is freed when its last reader has run. */
import { setImmediate } from 'node:timers/promises';
import type { Tfjs, TfjsTensor } from '../../tensor/primitive.js';
import type { Feeds, Fetches, Program } from '../backend.js';
import { fromTfjs, toTfjs } from './convert.js';
import { plan, type Plan, type Step, type Value } from './plan.js';
import type { WeightCache } from './weight-cache.js';

/** Calls block the thread; this often, timers, signals and progress bars get their turn. */
const BREATH_MS = 50;

/** Values of state leaves. */
export interface States {
  /** @throws Error for a name that was never written */
  get(name: string): TfjsTensor;
  /** Takes the tensor over; the one before it is freed. */
  put(name: string, value: TfjsTensor): void;
}

export class TfjsProgram {
  /** values that nobody reads after a step */
  private readonly last: readonly (readonly Value[])[];
  /** made when the program was loaded, its own to free */
  private readonly frozen = new Map<Value, TfjsTensor>();
  /** the weight cache's */
  private readonly weights = new Map<Value, TfjsTensor>();

  private constructor(
    private readonly tf: Tfjs,
    private readonly plan: Plan,
    private readonly cache: WeightCache,
  ) {
    this.last = lastReads(
      plan.steps,
      new Set([...plan.leaves.keys(), ...plan.frozen.flatMap(({ outs }) => outs), ...results(plan)]),
    );
  }

  /** @throws Error for a parameter without a value, or a weight that cannot be read */
  static async load(tf: Tfjs, program: Program, cache: WeightCache): Promise<TfjsProgram> {
    const loaded = new TfjsProgram(tf, plan(program), cache);
    try {
      await loaded.freeze();
      return loaded;
    } catch (error) {
      loaded.dispose();
      throw error;
    }
  }

  private async freeze(): Promise<void> {
    for (const [value, leaf] of this.plan.leaves) {
      if (leaf.op === 'constant') this.frozen.set(value, toTfjs(this.tf, leaf.value));
      if (leaf.op === 'weight') this.weights.set(value, await this.cache.acquire(leaf));
    }
    for (const step of this.plan.frozen)
      evaluate(this.tf, step, (v) => (this.frozen.get(v) ?? this.weights.get(v)) as TfjsTensor, this.frozen);
    const read = new Set([...this.plan.steps.flatMap(({ inputs }) => inputs), ...results(this.plan)]);
    for (const value of [...this.frozen.keys()]) if (!read.has(value)) free(this.frozen, value);
  }

  async run(feeds: Feeds, states: States): Promise<Fetches> {
    const live = new Map<Value, TfjsTensor>(),
      fed = new Map<Value, TfjsTensor>();
    const value = (v: Value): TfjsTensor =>
      live.get(v) ?? this.frozen.get(v) ?? this.weights.get(v) ?? this.leaf(v, feeds, fed, states);
    try {
      let breath = performance.now();
      for (const [i, step] of this.plan.steps.entries()) {
        evaluate(this.tf, step, value, live);
        for (const v of this.last[i]) free(live, v);
        if (performance.now() - breath < BREATH_MS) continue;
        await setImmediate();
        breath = performance.now();
      }
      const fetched: Fetches = {};
      for (const [name, v, { dtype, shape }] of this.plan.outputs)
        fetched[name] = await fromTfjs(value(v), dtype, shape);
      // All are computed from the old states before the first is replaced; a reshape shares the values.
      const updates = this.plan.updates.map(
        ([name, v, { shape }]) => [name, this.tf.reshape(value(v), [...shape])] as const,
      );
      for (const [name, next] of updates) states.put(name, next);
      return fetched;
    } finally {
      for (const tensor of [...live.values(), ...fed.values()]) tensor.dispose();
    }
  }

  dispose(): void {
    for (const tensor of this.frozen.values()) tensor.dispose();
    for (const value of this.weights.keys()) {
      const leaf = this.plan.leaves.get(value);
      if (leaf?.op === 'weight') this.cache.release(leaf);
    }
    this.frozen.clear();
    this.weights.clear();
  }

  private leaf(v: Value, feeds: Feeds, fed: Map<Value, TfjsTensor>, states: States): TfjsTensor {
    const { op, name } = this.plan.leaves.get(v) as { op: 'input' | 'state'; name: string };
    if (op === 'state') return states.get(name);
    const tensor = fed.get(v);
    if (tensor) return tensor;
    if (!feeds[name]) throw new Error(`input "${name}" was not fed; fed: ${Object.keys(feeds).join(', ')}`);
    fed.set(v, toTfjs(this.tf, feeds[name]));
    return fed.get(v) as TfjsTensor;
  }
}

/** Runs a step and keeps what it gives in `into`. */
function evaluate(tf: Tfjs, step: Step, value: (v: Value) => TfjsTensor, into: Map<Value, TfjsTensor>): void {
  const inputs = step.inputs.map(value);
  try {
    const outs = tf.tidy(() => [...step.run(tf, inputs)]);
    step.outs.forEach((v, i) => into.set(v, outs[i]));
    const wrong = step.outs.findIndex(({ elements }, i) => elements !== outs[i].size);
    if (wrong >= 0) throw new Error(`gave [${outs[wrong].shape}] for result ${wrong}`);
  } catch (error) {
    throw new Error(`${step.label}: ${(error as Error).message}`, { cause: error });
  }
}

const results = ({ outputs, updates }: Plan): Value[] => [...outputs, ...updates].map(([, value]) => value);

function free(live: Map<Value, TfjsTensor>, value: Value): void {
  live.get(value)?.dispose();
  live.delete(value);
}

/** When each value dies: after its last reader, or at once when it has none. */
function lastReads(steps: readonly Step[], kept: ReadonlySet<Value>): Value[][] {
  const at = new Map<Value, number>();
  steps.forEach(({ inputs, outs }, i) => [...outs, ...inputs].forEach((v) => at.set(v, i)));
  const dying = steps.map((): Value[] => []);
  for (const [value, i] of at) if (!kept.has(value)) dying[i].push(value);
  return dying;
}
