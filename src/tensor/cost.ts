/** The arithmetic of a graph, from its shapes alone. Each primitive says in its record what one application costs. */
import { sizeOf } from './host.js';
import { primitive, type Cost } from './primitive.js';
import { isLeaf, topo, type Node, type Tensor, type TensorType } from './tensor.js';

/**
 * Multiply-adds of convolutions and matrix products, and floating point operations of everything.
 * A node counts once however many readers it has, and zeros that pad a convolution count as multiplied, as usual.
 */
export function cost(outputs: readonly Tensor[]): Cost {
  let macs = 0,
    flops = 0;
  for (const node of topo(outputs)) {
    const own = nodeCost(node);
    macs += own.macs;
    flops += own.flops;
  }
  return { macs, flops };
}

/** One node; one operation per result where its primitive says nothing, nothing for leaves. */
export function nodeCost(node: Node): Cost {
  if (isLeaf(node)) return NOTHING;
  const rule = primitive(node.op).cost;
  return rule ? rule(node.inputs, node.attrs, node.outs) : operations(elements(node.outs));
}

const NOTHING: Cost = { macs: 0, flops: 0 };
const elements = (types: readonly TensorType[]): number => types.reduce((n, { shape }) => n + sizeOf(shape), 0);

/** Cost of a primitive that only moves values. */
export const moves = (): Cost => NOTHING;
/** Arithmetic without multiply-adds worth the name. */
export const operations = (flops: number): Cost => ({ macs: 0, flops });
/** A multiply-add is two operations. @param others operations beside them */
export const multiplyAdds = (macs: number, others = 0): Cost => ({ macs, flops: 2 * macs + others });
