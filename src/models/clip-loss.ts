/** The contrastive loss of CLIP (Radford et al., arXiv 2103.00020, figure 3), for batches in which captions may repeat. */
import {
  add,
  div,
  exp,
  gemm,
  lessOrEqual,
  log,
  mean,
  mul,
  neg,
  reshape,
  softmax,
  sub,
  sum,
  sumLast,
  transpose,
} from '../tensor/ops.js';
import { constant, type Tensor } from '../tensor/tensor.js';
import { unitRows } from '../networks/layers/norm.js';

/**
 * Log of softmax over the last axis, safe for any finite x: the mean of x under its own softmax lies within log(width)
 * of the maximum, so the exponentials neither overflow nor all vanish.
 */
export function logSoftmax(x: Tensor): Tensor {
  const centred = sub(x, sumLast(mul(softmax(x), x)));
  return sub(centred, log(sumLast(exp(centred))));
}

/**
 * Mean of both directions' cross-entropies: which caption belongs to a picture, which picture to a caption. Those of equal
 * captions are right too, and share the target.
 * @param logits [B, B], pictures by captions @param same [B, B], 1 where two captions are equal, else 0
 */
export function contrastiveLoss(logits: Tensor, same: Tensor): Tensor {
  const targets = div(same, sumLast(same)); // symmetric: equal captions have equally many
  const direction = (x: Tensor): Tensor => neg(mean(sum(mul(targets, logSoftmax(x)), [1])));
  return mul(add(direction(logits), direction(transpose(logits, [1, 0]))), 0.5);
}

/** Share of pictures whose most similar caption is theirs, or equal to it. Shapes as above. */
export function retrievalAccuracy(logits: Tensor, same: Tensor): Tensor {
  const B = logits.shape[0];
  const own = Float32Array.from({ length: B * B }, (_, i) => (i % (B + 1) === 0 ? 1 : 0));
  const right = sumLast(mul(logits, constant({ dtype: 'float32', shape: [B, B], data: own })));
  const better = mul(sub(1, lessOrEqual(logits, right)), sub(1, same));
  return mean(lessOrEqual(reshape(sumLast(better), [B]), 0));
}

/** @param images [B, P] and @param texts [B, P] of any length @param scale scalar @returns [B, B] */
export const similarities = (images: Tensor, texts: Tensor, scale: Tensor): Tensor =>
  mul(gemm(unitRows(images), unitRows(texts), undefined, false, true), scale);
