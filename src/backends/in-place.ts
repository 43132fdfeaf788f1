/** Which new values of states may be written over the old ones while a program runs. */
import { VIEWS } from '../tensor/ops/recompute.js';
import { primitive } from '../tensor/primitive.js';
import { isLeaf, leafName, topo, type Node, type Tensor } from '../tensor/tensor.js';
import { rootsOf, type Program } from './backend.js';

/**
 * A new value may take the place of the old one when everything that reads the old one is computed before it, in whatever
 * order a runtime chooses: all readers are operands of it, near or far, or it is itself computed element by element.
 * @param program as it is emitted, after all passes
 * @returns names of states
 */
export function updatedInPlace(program: Program): Set<string> {
  const leaves = new Map<string, Tensor[]>(),
    readers = new Map<Tensor, Node[]>();
  for (const node of topo(rootsOf(program))) {
    if (node.op === 'state')
      leaves.set(leafName(node.outs[0]), [...(leaves.get(leafName(node.outs[0])) ?? []), node.outs[0]]);
    for (const operand of new Set(node.inputs)) readers.set(operand, [...(readers.get(operand) ?? []), node]);
  }
  const results = new Set(rootsOf(program));
  const safe = ([name, next]: readonly [string, Tensor]): boolean => {
    const old = leaves.get(name) ?? [],
      uses = old.flatMap((leaf) => usesOf(leaf, readers));
    if (old.length === 0 || isLeaf(next.node) || uses.some(({ value }) => results.has(value))) return false;
    const before = new Set(topo([next]));
    return uses.every(({ value, reader }) => (reader === next.node ? elementwise(next, value) : before.has(reader)));
  };
  return new Set(
    Object.entries(program.updates ?? {})
      .filter(safe)
      .map(([name]) => name),
  );
}

interface Use {
  readonly value: Tensor;
  readonly reader: Node;
}

/** Readers of a buffer: also those of the same elements in another shape, which may be the same memory. */
function usesOf(value: Tensor, readers: ReadonlyMap<Tensor, readonly Node[]>): Use[] {
  return (readers.get(value) ?? []).flatMap((reader) => [
    { value, reader },
    ...(VIEWS.has(reader.op) ? usesOf(reader.outs[0], readers) : []),
  ]);
}

/** Element i of the result needs no other element of this operand than i. */
function elementwise(result: Tensor, operand: Tensor): boolean {
  const { tfjs } = primitive(result.node.op);
  return (
    typeof tfjs === 'object' &&
    tfjs.order === 'any' &&
    operand.dtype === result.dtype &&
    String(operand.shape) === String(result.shape)
  );
}
