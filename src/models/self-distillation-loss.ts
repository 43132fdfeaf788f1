/** The loss of DINO (Caron et al., arXiv 2104.14294, section 3.1 and algorithm 1). */
import { add, div, mean, mul, neg, softmax, sub, sum } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import { logSoftmax } from './clip-loss.js';

/**
 * Centred against the answer that fits every picture, sharpened against the one that says nothing.
 * @param logits [B, K] of the teacher @param centre [K] @param temperature low, such as 0.04
 * @returns [B, K], rows that add up to 1
 */
export const teacherTargets = (logits: Tensor, centre: Tensor, temperature: number): Tensor =>
  softmax(div(sub(logits, centre), temperature));

/** Mean of -sum p log q over rows. @param p [B, K] @param logQ [B, K] */
export const crossEntropy = (p: Tensor, logQ: Tensor): Tensor => neg(mean(sum(mul(p, logQ), [1])));

/**
 * Mean over all pairs of a crop that the teacher saw and another one that the student saw.
 * @param student [B, K] logits of each crop, those of the teacher first @param targets [B, K] of each crop that the teacher saw
 */
export function selfDistillationLoss(
  student: readonly Tensor[],
  targets: readonly Tensor[],
  temperature: number,
): Tensor {
  const answers = student.map((logits) => logSoftmax(div(logits, temperature)));
  const terms = targets.flatMap((p, t) => answers.flatMap((logQ, s) => (s === t ? [] : [crossEntropy(p, logQ)])));
  return div(terms.reduce(add), terms.length);
}

/** The next centre: a running mean of the teacher's logits [B, K] over batches. @param momentum share of the old one */
export const nextCentre = (centre: Tensor, logits: Tensor, momentum: number): Tensor =>
  add(mul(centre, momentum), mul(mean(logits, [0]), 1 - momentum));
