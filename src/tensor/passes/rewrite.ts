/** Rebuilding a graph with some nodes replaced. Passes are pure: outputs in, outputs out. */
import { Node, topo, type Tensor } from '../tensor.js';

/** The node applied to other inputs; itself when they are its own. */
export function rebuild(node: Node, inputs: readonly Tensor[]): Node {
  const changed = inputs.some((t, i) => t !== node.inputs[i]);
  return changed ? new Node(node.op, inputs, node.attrs, node.outs, node.payload) : node;
}

/**
 * Walks inputs before readers. `visit` sees a node with its inputs already rewritten and may give results to use instead
 * (same number, shapes and dtypes); undefined keeps the node. Unchanged parts are shared with the old graph.
 */
export function rewrite(
  outputs: readonly Tensor[],
  visit: (node: Node, inputs: readonly Tensor[]) => readonly Tensor[] | undefined,
): Tensor[] {
  const replaced = new Map<Tensor, Tensor>();
  const now = (t: Tensor): Tensor => replaced.get(t) ?? t;
  for (const node of topo(outputs)) {
    const inputs = node.inputs.map(now);
    const results = visit(node, inputs) ?? rebuild(node, inputs).outs;
    node.outs.forEach((out, i) => {
      if (results[i] !== out) replaced.set(out, results[i]);
    });
  }
  return outputs.map(now);
}

/** Replaces leaves. @param of gives the replacement of a leaf, or undefined to keep it */
export function substitute(outputs: readonly Tensor[], of: (leaf: Tensor) => Tensor | undefined): Tensor[] {
  return rewrite(outputs, (node) => {
    if (node.inputs.length > 0) return undefined;
    const replacement = of(node.outs[0]);
    return replacement && [replacement];
  });
}
