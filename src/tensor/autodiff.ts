/** Reverse-mode differentiation of a graph: one walk backwards, only through nodes that a wanted leaf reaches. */
import { add } from './ops/elementwise.js';
import { primitive } from './primitive.js';
import { fill, isLeaf, topo, type Node, type Tensor } from './tensor.js';

/**
 * d loss / d each of `wrt`, in their order; zeros for one that the loss does not depend on.
 * @param loss a scalar, shape []
 * @throws RangeError when the loss is not a scalar
 */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (loss.shape.length !== 0) throw new RangeError(`grad: the loss has shape [${loss.shape}]; reduce it to a scalar`);
  const order = topo([loss]);
  const wanted = new Set(wrt.map((t) => t.node));
  const reached = new Set<Node>();
  for (const node of order) if (wanted.has(node) || node.inputs.some((i) => reached.has(i.node))) reached.add(node);

  const cotangents = new Map<Node, (Tensor | undefined)[]>();
  const accumulate = (t: Tensor, ct: Tensor): void => {
    const cts = cotangents.get(t.node) ?? t.node.outs.map(() => undefined);
    const before = cts[t.index];
    cts[t.index] = before ? add(before, ct) : ct;
    cotangents.set(t.node, cts);
  };
  accumulate(loss, fill(1));
  for (const node of order.reverse()) {
    const cts = cotangents.get(node);
    if (!cts || !reached.has(node) || isLeaf(node)) continue;
    const needs = node.inputs.map((i) => reached.has(i.node));
    primitive(node.op).vjp(cts, node.inputs, { attrs: node.attrs, outs: node.outs, needs }).forEach((ct, i) => {
      if (ct && needs[i]) accumulate(node.inputs[i], ct);
    });
    if (!wanted.has(node)) cotangents.delete(node); // its readers are done
  }
  return wrt.map((t) => cotangents.get(t.node)?.[t.index] ?? fill(0, t.shape));
}
