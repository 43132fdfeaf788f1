/** Reverse-mode differentiation of a graph: one walk backwards, only through nodes that a wanted leaf reaches. */
import { add } from './ops/elementwise.js';
import { unpackedAfter } from './ops/dequantize.js';
import { after } from './ops/recompute.js';
import { rebuild } from './passes/rewrite.js';
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
  const cotangents = new Cotangents();
  cotangents.add(loss, fill(1));
  walkBack(order, cotangents, { wanted, reached });
  return wrt.map((t) => cotangents.of(t.node)?.[t.index] ?? fill(0, t.shape));
}

/** Gradients that have arrived at the results of nodes, added up. */
class Cotangents {
  private readonly arrived = new Map<Node, (Tensor | undefined)[]>();

  add(t: Tensor, ct: Tensor): void {
    const cts = this.arrived.get(t.node) ?? t.node.outs.map(() => undefined);
    const before = cts[t.index];
    cts[t.index] = before ? add(before, ct) : ct;
    this.arrived.set(t.node, cts);
  }

  of(node: Node): readonly (Tensor | undefined)[] | undefined {
    return this.arrived.get(node);
  }

  forget(node: Node): void {
    this.arrived.delete(node);
  }

  all(): { readonly t: Tensor; readonly ct: Tensor }[] {
    return [...this.arrived].flatMap(([{ outs }, cts]) => cts.flatMap((ct, i) => (ct ? [{ t: outs[i], ct }] : [])));
  }
}

/** Nodes whose gradient is asked for, and all that depend on them. */
interface Goal {
  readonly wanted: ReadonlySet<Node>;
  readonly reached: Set<Node>;
}

/** @param order inputs before readers; gradients of nodes that are not in it stay where they arrive */
function walkBack(order: readonly Node[], cotangents: Cotangents, goal: Goal): void {
  for (const node of [...order].reverse()) {
    const cts = cotangents.of(node);
    if (!cts || !goal.reached.has(node) || isLeaf(node)) continue;
    if (node.op === 'recompute') throughCopy(node, cts[0] as Tensor, cotangents, goal);
    else {
      const needs = node.inputs.map((i) => goal.reached.has(i.node));
      const arrived = cts.flatMap((ct) => ct ?? []),
        inputs = node.inputs.map((t) => unpackedAfter(t, arrived));
      primitive(node.op)
        .vjp(cts, inputs, { attrs: node.attrs, outs: node.outs, needs })
        .forEach((ct, i) => {
          if (ct && needs[i]) cotangents.add(node.inputs[i], ct);
        });
    }
    if (!goal.wanted.has(node)) cotangents.forget(node); // its readers are done
  }
}

/**
 * The gradient of `recompute`: of a copy of what it covers. The copy waits for the gradient that comes in, else a runtime
 * might make it early; and what goes out waits for all that is made of the copy, else it would be kept for later.
 */
function throughCopy({ inputs: [y, ...from] }: Node, ct: Tensor, cotangents: Cotangents, goal: Goal): void {
  const covered = between(y, from, goal.wanted);
  if (!covered.includes(y.node)) return goal.reached.has(y.node) ? cotangents.add(y, ct) : undefined;
  const copies = new Map<Tensor, Tensor>(),
    origins = new Map<Tensor, Tensor>(),
    order: Node[] = [];
  for (const t of from) {
    const copy = after(t, [ct]);
    copies.set(t, copy);
    origins.set(copy, t);
    if (goal.reached.has(t.node)) goal.reached.add(copy.node);
  }
  for (const node of covered) {
    const copy = rebuild(
      node,
      node.inputs.map((t) => copies.get(t) ?? t),
    );
    node.outs.forEach((out, i) => copies.set(out, copy.outs[i]));
    if (goal.reached.has(node)) goal.reached.add(copy);
    order.push(copy);
  }
  const inside = new Cotangents();
  inside.add(copies.get(y) as Tensor, ct);
  walkBack(order, inside, goal);
  const results = inside.all();
  for (const { t, ct: result } of results) {
    const origin = origins.get(t);
    if (origin)
      cotangents.add(
        origin,
        after(
          result,
          results.map((r) => r.ct).filter((r) => r !== result),
        ),
      );
    else cotangents.add(t, result);
  }
}

/** Nodes that `y` is made of and that depend on `from`, inputs before readers; `kept` ones and those below them are not copied. */
function between(y: Tensor, from: readonly Tensor[], kept: ReadonlySet<Node>): Node[] {
  const starts = new Set(from),
    stops = new Set(from.map((t) => t.node)),
    seen = new Set<Node>();
  const stack = [y.node];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (seen.has(node) || stops.has(node) || kept.has(node)) continue;
    seen.add(node);
    stack.push(...node.inputs.map((i) => i.node));
  }
  const covered = new Set<Node>();
  for (const node of [...seen].sort((a, b) => a.id - b.id))
    if (node.inputs.some((i) => starts.has(i) || covered.has(i.node))) covered.add(node);
  return [...covered];
}
