/** Graphs as text, one node a line: `%3: float32[2,4] = matmul(%1, %2) {transB: true}`. */
import type { HostTensor } from './host.js';
import { isLeaf, topo, type AttrValue, type Node, type Tensor, type TensorType } from './tensor.js';

/** Literals up to this many values are written out. */
const SHOWN = 8;

/** Inputs before readers, numbered from %0; then what is returned. Second and later results of a node are `%n.1`, ... */
export function print(outputs: Readonly<Record<string, Tensor>> | readonly Tensor[]): string {
  const named: (readonly [string, Tensor])[] = Object.entries(outputs);
  const order = topo(named.map(([, t]) => t));
  const numbers = new Map(order.map((node, i) => [node, i]));
  const ref = ({ node, index }: Tensor): string => `%${numbers.get(node)}${index > 0 ? `.${index}` : ''}`;
  const lines = order.map(
    (node) => `%${numbers.get(node)}: ${node.outs.map(typeText).join(', ')} = ${nodeText(node, ref)}`,
  );
  return [...lines, ...named.map(([name, t]) => `return ${name}: ${ref(t)}`)].join('\n');
}

export const typeText = ({ dtype, shape }: TensorType): string => `${dtype}[${shape}]`;

function nodeText(node: Node, ref: (t: Tensor) => string): string {
  if (isLeaf(node)) return `${node.op} ${leafText(node)}`;
  // A flag that is off goes without saying.
  const attrs = Object.entries(node.attrs)
    .filter(([, v]) => v !== false)
    .map(([k, v]) => `${k}: ${attrText(v)}`);
  return `${node.op}(${node.inputs.map(ref).join(', ')})${attrs.length > 0 ? ` {${attrs.join(', ')}}` : ''}`;
}

function leafText({ op, attrs, payload }: Node): string {
  if (op !== 'constant') return JSON.stringify(attrs['name'] ?? attrs['key']);
  const { data } = payload as HostTensor;
  const values = Array.from(data.subarray(0, SHOWN) as ArrayLike<number | bigint>, String).join(', ');
  return data.length === 1 ? values : `[${values}${data.length > SHOWN ? ', ...' : ''}]`;
}

const attrText = (value: AttrValue): string => (typeof value === 'object' ? `[${value.join(',')}]` : String(value));
