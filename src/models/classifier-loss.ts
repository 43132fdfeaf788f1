/** Cross-entropy over attributes of which a row may lack some. */
import { add, div, lessOrEqual, maximum, mul, neg, reshape, sum, sumLast } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import { logSoftmax } from './clip-loss.js';

/**
 * Mean over all pairs of a row and an attribute that have a label; 0 when none has.
 * @param logits per attribute [B, phrases] @param targets per attribute [B, phrases]: one 1 per row, or only 0 where the label is unknown
 */
export function attributeLoss(
  logits: Readonly<Record<string, Tensor>>,
  targets: Readonly<Record<string, Tensor>>,
): Tensor {
  const names = Object.keys(logits),
    total = (terms: Tensor[]): Tensor => terms.reduce((a, b) => add(a, b));
  const entropy = neg(total(names.map((name) => sum(mul(targets[name], logSoftmax(logits[name]))))));
  return div(entropy, maximum(total(names.map((name) => sum(targets[name]))), 1));
}

/** Share of the labelled rows whose right phrase is more probable than each other one; 0 when no row has a label. Shapes as above. */
export function attributeAccuracy(logits: Tensor, targets: Tensor): Tensor {
  const [B] = logits.shape,
    labelled = reshape(sumLast(targets), [B]);
  const asProbable = lessOrEqual(sumLast(mul(logits, targets)), logits); // [B, phrases], 1 at the right one itself
  const right = lessOrEqual(reshape(sumLast(asProbable), [B]), 1);
  return div(sum(mul(right, labelled)), maximum(sum(labelled), 1));
}
