/** What is behind the vision transformer while it learns without labels, and is thrown away afterwards (facebookresearch/dino, DINOHead). */
import { gelu, gemm } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import { linear } from '../networks/layers/linear.js';
import { unitRows } from '../networks/layers/norm.js';
import type { Scope } from '../networks/layers/scope.js';

export interface DinoHeadConfig {
  /** width of the two hidden layers */
  readonly hidden: number;
  /** width of the unit vectors that are compared with the prototypes */
  readonly bottleneck: number;
  /** K, what a picture is sorted into */
  readonly prototypes: number;
}

/**
 * Prototypes are of unit length, as with DINO's weight norm whose scale is fixed at 1.
 * @param features [N, D] class tokens @returns [N, K] cosines, the logits
 */
export function dinoHead(scope: Scope, features: Tensor, { hidden, bottleneck, prototypes }: DinoHeadConfig): Tensor {
  const mlp = (i: number, x: Tensor, width: number): Tensor => linear(scope.child('mlp', i), x, width);
  const y = mlp(4, gelu(mlp(2, gelu(mlp(0, features, hidden)), hidden)), bottleneck);
  const directions = unitRows(scope.param('last_layer.weight_v', [prototypes, bottleneck]));
  return gemm(unitRows(y), directions, undefined, false, true);
}
