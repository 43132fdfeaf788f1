/** How fast a backend is on this machine, from a second of the very products that a job is made of. */
import type { Backend, Executable } from '../backends/backend.js';
import { add, mul, narrow, reshape } from '../tensor/ops.js';
import { sizeOf } from '../tensor/host.js';
import { applyPrimitive, primitive } from '../tensor/primitive.js';
import { state, type Tensor, type TensorType } from '../tensor/tensor.js';
import type { PlannedProgram, Work } from './plan-backend.js';

/** One kind of product at one shape. */
interface Measured {
  readonly work: Work;
  readonly flopsPerSecond: number;
}

export interface Speed {
  readonly measured: readonly Measured[];
  readonly bytesPerSecond: number;
  /** of one node, beside its arithmetic */
  readonly nodeSeconds: number;
}

/** Operands of a measurement larger than this are not worth their memory. */
const LARGEST_BYTES = 2 ** 29;
/** Elements of the vectors that show the memory's speed: 16 MB each, beyond the caches. */
const VECTOR = 2 ** 22;
/** Seconds that a clock can tell from nothing. */
const SHORTEST = 1e-6;
/** Nodes that hardly compute. */
const CHAIN = 256;

/**
 * Measures the products with the most arithmetic, as many as the time allows, and the speed of memory.
 * @param programs with their number of runs @param seconds of computing; compiling comes on top, about as much
 */
export async function calibrate(backend: Backend, programs: readonly PlannedProgram[], seconds = 1): Promise<Speed> {
  const bench = new Bench(backend);
  const idle = await bench.time(({ leaf }) => add(leaf([]), 1), 5);
  const chain = await bench.time(
    ({ leaf }) => Array.from({ length: CHAIN / 2 }).reduce<Tensor>((x) => add(mul(x, 0.99), 0.5), leaf([8])),
    5,
  );
  const moved = await bench.time(({ leaf }) => mul(leaf([VECTOR]), leaf([VECTOR])), 5);
  const measured: Measured[] = [];
  for (const work of products(programs)) {
    if (bench.seconds > seconds && measured.length > 0) break;
    const elapsed = await bench.time(
      ({ leaf }) =>
        applyPrimitive(
          primitive(work.op),
          work.inputs.map(({ shape }) => leaf(shape)),
          work.attrs,
        )[0],
      2,
    );
    measured.push({ work, flopsPerSecond: work.flops / Math.max(SHORTEST, elapsed - idle) });
  }
  return {
    measured,
    bytesPerSecond: (3 * 4 * VECTOR) / Math.max(SHORTEST, moved - idle),
    nodeSeconds: Math.max(0, chain - idle) / CHAIN,
  };
}

/** Products by the arithmetic of all their runs, most first; the first of each kind before the second of any. */
function products(programs: readonly PlannedProgram[]): Work[] {
  const total = new Map<string, { work: Work; flops: number }>();
  for (const { work, runs } of programs) {
    const times = [...runs.values()].reduce((a, b) => a + b, 0);
    for (const w of work) {
      if (w.macs === 0 || w.bytes > LARGEST_BYTES || !w.inputs.every(({ dtype }) => dtype === 'float32')) continue;
      const key = JSON.stringify([w.op, w.attrs, w.inputs]),
        known = total.get(key);
      total.set(key, { work: w, flops: (known?.flops ?? 0) + w.flops * w.count * times });
    }
  }
  const order = [...total.values()].sort((a, b) => b.flops - a.flops).map(({ work }) => work);
  const firsts = order.filter((work, i) => order.findIndex(({ op }) => op === work.op) === i);
  return [...firsts, ...order.filter((work) => !firsts.includes(work))];
}

/** Predicted seconds of one run. */
export function runSeconds({ work, nodes }: PlannedProgram, speed: Speed): number {
  const arithmetic = work.reduce((sum, w) => {
    const moving = w.bytes / speed.bytesPerSecond;
    return sum + w.count * (w.macs === 0 ? moving : Math.max(moving, w.flops / rate(w, speed)));
  }, 0);
  return arithmetic + nodes * speed.nodeSeconds;
}

/** Of the same product when it was measured, else of the one that has most alike a share of arithmetic in its traffic. */
function rate(work: Work, { measured }: Speed): number {
  const same = measured.filter((m) => m.work.op === work.op),
    pool = same.length > 0 ? same : measured;
  const intensity = ({ flops, bytes }: Work): number => Math.log(flops / bytes);
  const exact = same.find(
    (m) =>
      m.work === work ||
      (m.work.flops === work.flops &&
        m.work.bytes === work.bytes &&
        JSON.stringify([m.work.attrs, m.work.inputs]) === JSON.stringify([work.attrs, work.inputs])),
  );
  const best =
    exact ??
    pool.reduce((a, b) =>
      Math.abs(intensity(b.work) - intensity(work)) < Math.abs(intensity(a.work) - intensity(work)) ? b : a,
    );
  return best.flopsPerSecond;
}

/** Floating point operations per second over all that was measured. */
export function overall({ measured }: Speed): number {
  const flops = measured.reduce((n, m) => n + m.work.flops, 0);
  return flops / measured.reduce((n, m) => n + m.work.flops / m.flopsPerSecond, 0);
}

/** Times small programs on operands that stay with the backend. */
class Bench {
  /** spent on runs that counted */
  seconds = 0;
  private readonly written = new Set<string>();
  private next = 0;

  constructor(private readonly backend: Backend) {}

  /** The shortest of some runs after one that does not count; what is fetched is one number. */
  async time(build: (operands: { leaf(shape: TensorType['shape']): Tensor }) => Tensor, runs: number): Promise<number> {
    const leaves: Tensor[] = [];
    const result = build({
      leaf: (shape) => {
        leaves.push(state(`plan/${this.next++}`, shape));
        return leaves[leaves.length - 1];
      },
    });
    for (const leaf of leaves) await this.write(leaf);
    const first = reshape(narrow(reshape(result, [sizeOf(result.shape)]), 0, 0, 1), []);
    const program = await this.backend.compile({ name: 'calibration', outputs: { first } });
    try {
      return await this.shortest(program, runs);
    } finally {
      await program.dispose();
      await this.clear();
    }
  }

  private async shortest(program: Executable, runs: number): Promise<number> {
    await program.run({});
    let best = Infinity;
    for (let i = 0; i < runs; i++) {
      const start = performance.now();
      await program.run({});
      const elapsed = (performance.now() - start) / 1000;
      this.seconds += elapsed;
      best = Math.min(best, elapsed);
    }
    return best;
  }

  private async write({ node, shape }: Tensor): Promise<void> {
    const name = String(node.attrs['name']);
    this.written.add(name);
    await this.backend.states.write(name, { dtype: 'float32', shape, data: new Float32Array(sizeOf(shape)).fill(0.5) });
  }

  private async clear(): Promise<void> {
    for (const name of this.written) await this.backend.states.delete(name);
    this.written.clear();
  }
}
