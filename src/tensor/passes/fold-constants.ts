/** Nodes whose inputs are all literals become literals. */
import { sizeOf, type HostTensor } from '../host.js';
import { primitive, type RefArray } from '../primitive.js';
import { constant, isLeaf, type Tensor, type TensorType } from '../tensor.js';
import { rewrite } from './rewrite.js';

/** Larger results are cheaper to compute than to store in the program. */
const MAX_VALUES = 4096;

export function foldConstants(outputs: readonly Tensor[]): Tensor[] {
  const small = (t: TensorType): boolean =>
    sizeOf(t.shape) <= MAX_VALUES && (t.dtype === 'float32' || t.dtype === 'int32');
  return rewrite(outputs, (node, inputs) => {
    if (isLeaf(node) || !inputs.every((t) => t.node.op === 'constant' && small(t)) || !node.outs.every(small))
      return undefined;
    const result = primitive(node.op).reference(
      inputs.map((t) => toReference(t.node.payload as HostTensor)),
      node.attrs,
      node.outs,
    );
    const arrays = (Array.isArray(result) ? result : [result]) as readonly RefArray[];
    return node.outs.map((out, i) => constant(fromReference(arrays[i], out)));
  });
}

const toReference = ({ shape, data }: HostTensor): RefArray => ({
  shape,
  data: Float64Array.from(data as ArrayLike<number>),
});
const fromReference = ({ data }: RefArray, { dtype, shape }: TensorType): HostTensor => ({
  dtype,
  shape,
  data: dtype === 'int32' ? Int32Array.from(data) : Float32Array.from(data),
});
