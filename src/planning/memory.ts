/**
 * The memory that ONNX Runtime takes to run a program: its order of nodes, its plan of which result is written over which
 * dead one, scratch of its kernels, and its arena. Checked against the runtime's own profile: see docs/planning.md.
 */
import { tiledBytes } from '../backends/onnx/winograd.js';
import { rootsOf, type Program } from '../backends/backend.js';
import { chunkedUpdates } from '../backends/onnx/chunked-updates.js';
import { largeWidenings } from '../backends/onnxruntime/wide-weights.js';
import { bytesPerElement, sizeOf } from '../tensor/host.js';
import { VIEWS } from '../tensor/ops/recompute.js';
import { isLeaf, leafName, Node, topo, type Tensor, type TensorType, type WeightSource } from '../tensor/tensor.js';
import { Arena, type Chunk } from './arena.js';

/** Bytes of a program while it runs, and what it holds on to. */
export interface ProgramMemory {
  /** values that are alive at once, at most */
  readonly live: number;
  /** what the arena has touched after some runs; it is never given back */
  readonly arena: number;
  /** copies that only this program has: widened weights, literals */
  readonly copies: number;
  /** weights read in place, by the place in their file: programs share them */
  readonly mapped: ReadonlyMap<string, number>;
  /** by name; programs share them */
  readonly states: ReadonlyMap<string, number>;
}

export const bytesOf = ({ dtype, shape }: TensorType): number => sizeOf(shape) * bytesPerElement[dtype];

/** @param program after the passes of a backend @param runs until the arena has settled */
export function programMemory(program: Program, runs = 3): ProgramMemory {
  const results = namedResults(program),
    elsewhere = notInArena(program, results);
  const order = executionOrder(results).filter((node) => !isLeaf(node) && !isWidening(node));
  const buffers = planBuffers(order, results, elsewhere),
    arena = new Arena();
  for (let run = 0; run < runs; run++) replay(order, buffers, arena);
  return { live: liveBytes(order, buffers), arena: arena.residentBytes, ...leaves(program) };
}

/** A weight that is stored with 16 bits is widened once, when the program is loaded. */
export const isWidening = ({ op, inputs }: Node): boolean => op === 'cast' && inputs[0].node.op === 'weight';

/** Outputs, then updates. What the emitted model copies to name it as a result: a leaf, and what has a name as a result already. */
function namedResults(program: Program): Tensor[] {
  const seen = new Set<Tensor>();
  return rootsOf(program).map((t) => {
    const copied = isLeaf(t.node) || seen.has(t);
    seen.add(t);
    return copied ? new Node('identity', [t], {}, [t]).outs[0] : t;
  });
}

/** Where states change, results are in memory of ours; what is computed chunk by chunk never exists as a whole. */
function notInArena(program: Program, results: readonly Tensor[]): Set<Tensor> {
  if (Object.keys(program.updates ?? {}).length === 0) return new Set();
  return new Set([...results, ...chunkedUpdates(program).flatMap(({ nodes }) => nodes.map(({ outs: [out] }) => out))]);
}

/** Depth first from the newest result, the newest operand first: GraphViewer with ExecutionOrder::DEFAULT. */
export function executionOrder(roots: readonly Tensor[]): Node[] {
  const order: Node[] = [],
    seen = new Set<Node>();
  const stack = roots.map(({ node }) => ({ node, done: false })).sort((a, b) => a.node.id - b.node.id);
  for (let top = stack.pop(); top; top = stack.pop()) {
    const { node, done } = top;
    if (done) order.push(node);
    if (done || seen.has(node)) continue;
    seen.add(node);
    stack.push({ node, done: true });
    const operands = [...new Set(node.inputs.map((i) => i.node))]
      .filter((n) => !seen.has(n))
      .sort((a, b) => a.id - b.id);
    for (const operand of operands) stack.push({ node: operand, done: false });
  }
  return order;
}

/** One allocation: from the position in the order where it is made to the last one that touches it. */
interface Buffer {
  /** undefined where the runtime does not know it: nobody takes its place */
  readonly type: string | undefined;
  readonly bytes: number;
  readonly from: number;
  to: number;
  reads: number;
}

/** Kernels that may write over their operand (`MayInplace`), when nobody else reads it. */
const IN_PLACE = new Set(['softmax', 'gelu']);
const typeOf = ({ dtype, shape }: TensorType): string => `${bytesPerElement[dtype]}[${shape}]`;

/**
 * The planner of the runtime (allocation_planner.cc, one stream): a result takes the place of an operand, else of the value
 * of its very shape that died last, else memory of its own. What is taken over is not free in between. Values whose shape
 * the runtime does not know, as those computed from what was reshaped, have memory of their own.
 */
function planBuffers(order: readonly Node[], named: readonly Tensor[], elsewhere: ReadonlySet<Tensor>): Buffer[] {
  const reads = new Map<Tensor, number>(),
    results = new Set(named);
  const read = (t: Tensor): void => void reads.set(t, (reads.get(t) ?? 0) + 1);
  order.forEach((node) => node.inputs.forEach(read));
  results.forEach(read);
  const buffers: Buffer[] = [],
    of = new Map<Tensor, Buffer>(),
    dead: Buffer[] = [],
    unknown = new Set<Tensor>();
  const place = (node: Node, out: Tensor, at: number): Buffer | undefined => {
    if (elsewhere.has(out)) return undefined;
    const operand = of.get(node.inputs[0]);
    if (VIEWS.has(node.op)) return operand;
    if (!results.has(out) && !unknown.has(out)) {
      if (IN_PLACE.has(node.op) && operand?.reads === 1 && operand.type === typeOf(out)) return operand;
      const old = dead.findIndex(({ type }) => type === typeOf(out));
      if (old >= 0) return dead.splice(old, 1)[0];
    }
    buffers.push({ type: unknown.has(out) ? undefined : typeOf(out), bytes: bytesOf(out), from: at, to: at, reads: 0 });
    return buffers[buffers.length - 1];
  };
  const done = (buffer: Buffer | undefined): void => {
    if (buffer && --buffer.reads === 0 && buffer.type !== undefined) dead.unshift(buffer);
  };
  order.forEach((node, at) => {
    if (VIEWS.has(node.op) || node.inputs.some((operand) => unknown.has(operand)))
      node.outs.forEach((out) => unknown.add(out));
    for (const out of node.outs) {
      const buffer = place(node, out, at);
      if (!buffer) continue; // a leaf in another shape, or not in the arena
      buffer.reads += Math.max(1, reads.get(out) ?? 0);
      buffer.to = at;
      of.set(out, buffer);
    }
    for (const operand of node.inputs) {
      const buffer = of.get(operand);
      if (buffer) buffer.to = at;
      done(buffer);
    }
    for (const out of node.outs) if (!reads.has(out)) done(of.get(out));
  });
  for (const out of results) {
    const buffer = of.get(out);
    if (buffer) buffer.to = order.length;
  }
  return buffers;
}

const CONVOLUTIONS: ReadonlySet<string> = new Set(['conv2d', 'convTranspose2d']);

/** Scratch of the CPU kernels beside their results. */
function scratchBytes({ op, attrs, inputs, outs }: Node): number {
  const [x, w, v] = inputs;
  if (op === 'attention') return bytesOf(x) + bytesOf(w) + bytesOf(v); // heads side by side
  const tiled = CONVOLUTIONS.has(op) ? tiledBytes({ attrs, inTypes: inputs, outTypes: outs }) : undefined;
  if (tiled !== undefined) return tiled;
  if (op === 'convTranspose2d') return (sizeOf(w.shape) / w.shape[0]) * x.shape[2] * x.shape[3] * 4; // columns of one picture
  return 0;
}

function liveBytes(order: readonly Node[], buffers: readonly Buffer[]): number {
  const change = new Float64Array(order.length + 2);
  for (const { bytes, from, to } of buffers) {
    change[from] += bytes;
    change[to + 1] -= bytes;
  }
  let now = 0,
    most = 0;
  order.forEach((node, at) => {
    now += change[at];
    most = Math.max(most, now + scratchBytes(node));
  });
  return most;
}

/** Plays one run on the arena. Results are copied out at its end. */
function replay(order: readonly Node[], buffers: readonly Buffer[], arena: Arena): void {
  const starting = order.map((): Buffer[] => []),
    ending = [...order, undefined].map((): Buffer[] => []);
  for (const buffer of buffers) {
    starting[buffer.from].push(buffer);
    ending[buffer.to].push(buffer);
  }
  const chunks = new Map<Buffer, Chunk>();
  const release = (buffer: Buffer): void => arena.release(chunks.get(buffer) as Chunk);
  order.forEach((node, at) => {
    for (const buffer of starting[at]) chunks.set(buffer, arena.allocate(buffer.bytes));
    const scratch = scratchBytes(node);
    if (scratch > 0) arena.release(arena.allocate(scratch));
    ending[at].forEach(release);
  });
  ending[order.length].forEach(release);
}

function leaves(program: Program): Pick<ProgramMemory, 'copies' | 'mapped' | 'states'> {
  const mapped = new Map<string, number>(),
    states = new Map<string, number>(),
    nodes = topo(rootsOf(program)),
    fromFile = largeWidenings(program);
  let copies = 0;
  // Widened weights are let go of when that is done; of a table only the rows that are looked up are ever read.
  const read = new Set(
    nodes.flatMap((node) =>
      isWidening(node) ? [] : node.inputs.slice(node.op === 'gatherRows' ? 1 : 0).map((t) => t.node),
    ),
  );
  for (const node of nodes) {
    const [out] = node.outs,
      source = node.op === 'weight' ? (node.payload as WeightSource) : fromFile.get(node);
    if (source && 'file' in source) {
      if (read.has(node)) mapped.set(`${source.file}:${source.offset}`, bytesOf(out));
    } else if (source || node.op === 'constant' || isWidening(node)) copies += bytesOf(out);
    else if (node.op === 'state') states.set(leafName(out), bytesOf(out));
  }
  return { copies, mapped, states };
}
