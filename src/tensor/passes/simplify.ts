/** Applies algebraic rules until none fits. */
import { sameShape } from '../host.js';
import type { Tensor } from '../tensor.js';
import { matches, type Rule } from './pattern.js';
import { rebuild, rewrite } from './rewrite.js';
import { RULES } from './rules.js';

/** A chain of n foldable nodes is done in one walk; what one walk makes possible above it is found by the next. */
const MAX_WALKS = 4;

export function simplify(outputs: readonly Tensor[], rules: readonly Rule[] = RULES): Tensor[] {
  const byOp = new Map<string, Rule[]>();
  for (const rule of rules)
    if (rule.match.kind === 'op') byOp.set(rule.match.op, [...(byOp.get(rule.match.op) ?? []), rule]);
  let current = [...outputs];
  for (let walk = 0; walk < MAX_WALKS; walk++) {
    const next = rewrite(current, (node, inputs) => {
      const { outs } = rebuild(node, inputs);
      return outs.length === 1 ? [rewritten(outs[0], byOp)] : outs;
    });
    if (next.every((t, i) => t === current[i])) return next;
    current = next;
  }
  return current;
}

/** Rules shrink a graph or turn it towards one form, so this ends. */
function rewritten(tensor: Tensor, byOp: ReadonlyMap<string, readonly Rule[]>): Tensor {
  for (const { match, to } of byOp.get(tensor.node.op) ?? []) {
    const bound = matches(match, tensor);
    const result = bound && to(bound, tensor);
    if (result && result.dtype === tensor.dtype && sameShape(result.shape, tensor.shape))
      return rewritten(result, byOp);
  }
  return tensor;
}
