/** A backend that computes nothing: it takes down what programs would cost, and answers with zeros of the right shape. */
import {
  rootsOf,
  type Backend,
  type Executable,
  type Fetches,
  type Program,
  type StateStore,
} from '../backends/backend.js';
import { optimize } from '../backends/optimize.js';
import { nodeCost } from '../tensor/cost.js';
import { zeros } from '../tensor/host.js';
import { VIEWS } from '../tensor/ops/recompute.js';
import { isLeaf, topo, type Attrs, type Node, type TensorType } from '../tensor/tensor.js';
import { bytesOf, isWidening, programMemory, type ProgramMemory } from './memory.js';

/** Equal applications of one primitive. */
export interface Work {
  readonly op: string;
  readonly attrs: Attrs;
  readonly inputs: readonly TensorType[];
  /** of one application */
  readonly macs: number;
  readonly flops: number;
  /** read and written by one application */
  readonly bytes: number;
  count: number;
}

export interface PlannedProgram {
  readonly name: string;
  readonly nodes: number;
  readonly macs: number;
  readonly flops: number;
  readonly work: readonly Work[];
  readonly memory: ProgramMemory;
  /** of its results, that travel to the host at each run */
  readonly fetchedBytes: number;
  /** phase of the job -> how often it runs there */
  readonly runs: Map<string, number>;
  /** programs that are freed before training starts */
  readonly passing: boolean;
}

export class PlanBackend implements Backend {
  readonly name = 'plan';
  readonly programs: PlannedProgram[] = [];
  private phase = '';
  private times = 0;
  private passing = false;
  private readonly written = new Map<string, TensorType>();

  readonly states: StateStore = {
    write: async (name, { dtype, shape }) => void this.written.set(name, { dtype, shape }),
    type: async (name) => this.type(name),
    read: async (name) => zeros(this.type(name).dtype, this.type(name).shape),
    delete: async (name) => void this.written.delete(name),
  };

  private type(name: string): TensorType {
    const type = this.written.get(name);
    if (!type) throw new Error(`state "${name}" was never written`);
    return type;
  }

  /** Counts every run inside as `times` runs of a phase. @param passing its programs are of a model that is freed again */
  async count<T>(phase: string, times: number, inside: () => Promise<T>, passing = false): Promise<T> {
    const before = [this.phase, this.times, this.passing] as const;
    [this.phase, this.times, this.passing] = [phase, times, passing];
    try {
      return await inside();
    } finally {
      [this.phase, this.times, this.passing] = before;
    }
  }

  async compile(program: Program): Promise<Executable> {
    const planned = summary(optimize(program), this.passing);
    this.programs.push(planned);
    const results = Object.entries(program.outputs).map(
      ([name, { dtype, shape }]) => [name, { dtype, shape }] as const,
    );
    return {
      run: async () => {
        planned.runs.set(this.phase, (planned.runs.get(this.phase) ?? 0) + this.times);
        return Object.fromEntries(results.map(([name, type]) => [name, zeros(type.dtype, type.shape)])) as Fetches;
      },
      dispose: async () => {},
    };
  }

  async dispose(): Promise<void> {}
}

function summary(program: Program, passing: boolean): PlannedProgram {
  const work = new Map<string, Work>(),
    nodes = topo(rootsOf(program)).filter((node) => !isLeaf(node) && !isWidening(node));
  let macs = 0,
    flops = 0;
  for (const node of nodes) {
    const { op, attrs } = node,
      inputs = node.inputs.map(({ dtype, shape }) => ({ dtype, shape }));
    const key = JSON.stringify([op, attrs, inputs]),
      own = nodeCost(node);
    macs += own.macs;
    flops += own.flops;
    const known = work.get(key);
    if (known) known.count++;
    else work.set(key, { op, attrs, inputs, ...own, bytes: traffic(node), count: 1 });
  }
  return {
    name: program.name,
    nodes: nodes.length,
    macs,
    flops,
    work: [...work.values()],
    memory: programMemory(program),
    fetchedBytes: Object.values(program.outputs).reduce((n, t) => n + bytesOf(t), 0),
    runs: new Map(),
    passing,
  };
}

/** What only moves values reads as much as it writes: a slice does not read the whole. */
function traffic(node: Node): number {
  const written = node.outs.reduce((n, t) => n + bytesOf(t), 0);
  if (VIEWS.has(node.op)) return 0;
  return nodeCost(node).flops === 0 ? 2 * written : written + node.inputs.reduce((n, t) => n + bytesOf(t), 0);
}
