/** Cross-entropy over attributes of which a row may lack some. */
import { add, lessOrEqual, maximum, mul, neg, reshape, sub, sum, sumLast, div } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import { logSoftmax } from './clip-loss.js';

/**
 * Mean over all pairs of a row and an attribute that have a label; 0 when none has.
 * @param logits per attribute [B, phrases] @param targets per attribute [B, phrases]: one 1 per row, or only 0 where the label is unknown
 */
export function attributeLoss(logits: Readonly<Record<string, Tensor>>, targets: Readonly<Record<string, Tensor>>): Tensor {
  const names = Object.keys(logits), total = (terms: Tensor[]): Tensor => terms.reduce((a, b) => add(a, b));
  const entropy = neg(total(names.map((name) => sum(mul(targets[name], logSoftmax(logits[name]))))));
  return div(entropy, maximum(total(names.map((name) => sum(targets[name]))), 1));
}

/** Share of the labelled rows of which no phrase is more probable than the right one; 0 when no row has a label. Shapes as above. */
export function attributeAccuracy(logits: Tensor, targets: Tensor): Tensor {
  const [B] = logits.shape, labelled = reshape(sumLast(targets), [B]);
  const better = sub(1, lessOrEqual(logits, sumLast(mul(logits, targets)))); // [B, phrases]
  const right = lessOrEqual(reshape(sumLast(better), [B]), 0);
  return div(sum(mul(right, labelled)), maximum(sum(labelled), 1));
}
