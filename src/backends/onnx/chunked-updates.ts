/** Which arithmetic on large states may be computed chunk by chunk. */
import { primitive } from '../../tensor/primitive.js';
import { isLeaf, topo, type Node, type Tensor } from '../../tensor/tensor.js';
import { rootsOf, type Program } from '../backend.js';

/**
 * Nodes that compute new values of states element by element, from flat vectors of one length and from numbers. Operation
 * after operation each of them would travel to memory and back; chunk after chunk they stay in the cache.
 */
export interface ChunkedUpdate {
  /** operands first */
  readonly nodes: readonly Node[];
  /** vectors that come from elsewhere */
  readonly inputs: readonly Tensor[];
  /** results of the program; nothing outside reads any value of these nodes */
  readonly outputs: readonly Tensor[];
  /** length of the vectors, and a divisor of it */
  readonly size: number;
  readonly chunk: number;
}

/** Elements of a chunk: a dozen of vectors of 2^18 numbers fit into caches; below 2^14, starting an operation takes longer than it. */
const LARGEST = 2 ** 18,
  SMALLEST = 2 ** 14;

/** The largest divisor of a length within these bounds, not the length itself. */
export function chunkOf(size: number): number | undefined {
  for (let parts = Math.max(2, Math.ceil(size / LARGEST)); size / parts >= SMALLEST; parts++)
    if (size % parts === 0) return size / parts;
  return undefined;
}

/** @param program as it is emitted, after all passes */
export function chunkedUpdates(program: Program): ChunkedUpdate[] {
  const roots = rootsOf(program),
    order = topo(roots),
    wanted = new Set(roots),
    readers = new Map<Tensor, Node[]>();
  for (const node of order)
    for (const operand of node.inputs) readers.set(operand, [...(readers.get(operand) ?? []), node]);
  const updates = new Set(
    Object.values(program.updates ?? {}).filter((value) => roots.indexOf(value) === roots.lastIndexOf(value)),
  );

  // A node joins its readers, and their groups become one, unless somebody else reads it; a result that nobody reads begins a group.
  const groupOf = new Map<Node, Node[]>(),
    chunks = new Map<number, number | undefined>();
  for (const node of [...order].reverse()) {
    const [out] = node.outs;
    if ((wanted.has(out) && !updates.has(out)) || !elementwise(node)) continue;
    const [size] = out.shape,
      groups = new Set((readers.get(out) ?? []).map((reader) => groupOf.get(reader)));
    if (!chunks.has(size)) chunks.set(size, chunkOf(size));
    if (chunks.get(size) === undefined || groups.has(undefined)) continue;
    const group = [node, ...[...groups].flatMap((some) => some ?? [])];
    for (const member of group) groupOf.set(member, group);
  }
  return [...new Set(groupOf.values())]
    .filter((group) => group.length > 1)
    .map((group) => {
      const nodes = group.sort((a, b) => a.id - b.id),
        inside = new Set(nodes),
        [size] = nodes[0].outs[0].shape;
      const inputs = [...new Set(nodes.flatMap((node) => node.inputs))].filter(
        (value) => value.shape.length === 1 && !inside.has(value.node),
      );
      return {
        nodes,
        inputs,
        outputs: nodes.map(({ outs: [out] }) => out).filter((out) => updates.has(out)),
        size,
        chunk: chunks.get(size) as number,
      };
    });
}

/** Element i of the flat float32 result needs element i of flat operands, and numbers. */
function elementwise({ op, inputs, outs: [out], outs }: Node): boolean {
  if (isLeaf(out.node) || outs.length > 1 || out.dtype !== 'float32' || out.shape.length !== 1) return false;
  const { tfjs } = primitive(op);
  return (
    typeof tfjs === 'object' &&
    tfjs.order === 'any' &&
    inputs.every(
      ({ dtype, shape }) =>
        dtype === 'float32' && (shape.length === 0 || (shape.length === 1 && shape[0] === out.shape[0])),
    )
  );
}
