/**
 * Mixed precision: convolutions and matrix products read and give float16, everything between them stays float32. Weights
 * that are stored with 16 bits are read as they are. Master weights, sums, norms, softmax and the optimizer keep 32 bits
 * (Micikevicius et al., arXiv 1710.03740); small gradients need a scaled loss to survive.
 */
import { applyPrimitive, primitive } from '../primitive.js';
import { cast } from '../ops/shape.js';
import type { Node, Tensor } from '../tensor.js';
import { rewrite } from './rewrite.js';

/** Products that add up in 32 bits on the devices this is for. */
const PRODUCTS = new Set(['attention', 'conv2d', 'convTranspose2d', 'gemm', 'matmul']);
/** Moving values costs half as much when they are narrowed before. */
const MOVES = new Set(['reshape', 'transpose']);

/** @returns outputs of the same types; only products inside are computed with 16 bits */
export function halfProducts(outputs: readonly Tensor[]): Tensor[] {
  const known = new Map<Tensor, Tensor>();
  const narrowed = (x: Tensor): Tensor => {
    const found = known.get(x) ?? narrow(x, narrowed);
    known.set(x, found);
    return found;
  };
  return rewrite(outputs, (node, inputs) => {
    if (!PRODUCTS.has(node.op) || node.outs[0].dtype !== 'float32') return undefined;
    return applyPrimitive(primitive(node.op), inputs.map(narrowed), node.attrs).map((out) => cast(out, 'float32'));
  });
}

function narrow(x: Tensor, narrowed: (x: Tensor) => Tensor): Tensor {
  const { node } = x;
  if (node.op === 'cast' && node.inputs[0].dtype === 'float16') return node.inputs[0];
  return MOVES.has(node.op) ? moved(node, narrowed(node.inputs[0])) : cast(x, 'float16');
}

const moved = (node: Node, input: Tensor): Tensor => applyPrimitive(primitive(node.op), [input], node.attrs)[0];
