/** Checks that a graph keeps its own rules. Passes and programs are checked with it in tests. */
import { bytesPerElement, sizeOf, type HostTensor } from './host.js';
import { typeText } from './print.js';
import { primitives } from './primitive.js';
import { isLeaf, leafName, topo, type Node, type Tensor, type TensorType, type WeightSource } from './tensor.js';

/** The graph of a program: its results, and the new values of its states. */
interface Graph {
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly updates?: Readonly<Record<string, Tensor>>;
}

/**
 * Every node's results are what its shape rule gives, inputs are older than their readers, leaves carry the data of their
 * type, leaves of one name have one type, and updates have the type of the state they replace.
 * @throws Error listing every violation
 */
export function verify({ outputs, updates = {} }: Graph): void {
  const problems: string[] = [];
  const named = new Map<string, string>();
  for (const node of topo([...Object.values(outputs), ...Object.values(updates)])) {
    const say = (what: string): void => void problems.push(`${node.op} (node ${node.id}): ${what}`);
    if (isLeaf(node)) checkLeaf(node, named, say);
    else checkNode(node, say);
  }
  for (const [name, next] of Object.entries(updates)) {
    const read = named.get(`state ${name}`);
    if (read !== undefined && read !== typeText(next))
      problems.push(`update of state "${name}": gives ${typeText(next)}, the state is ${read}`);
  }
  if (problems.length > 0)
    throw new Error(`verify: ${problems.length} problem${problems.length > 1 ? 's' : ''}\n${problems.join('\n')}`);
}

function checkNode(node: Node, say: (what: string) => void): void {
  const rule = primitives().get(node.op);
  if (!rule) return say('no primitive of this name');
  for (const i of node.inputs) {
    if (i.node.id >= node.id) say(`reads node ${i.node.id}, which is newer`);
    if (i.node.outs[i.index] !== i) say(`reads a tensor that is not result ${i.index} of node ${i.node.id}`);
  }
  try {
    const inferred = rule.infer(node.inputs, node.attrs);
    const expected = (Array.isArray(inferred) ? inferred : [inferred]) as readonly TensorType[];
    const [want, have] = [expected, node.outs].map((types) => types.map(typeText).join(', '));
    if (want !== have) say(`is ${have}, its shape rule gives ${want}`);
  } catch (error) {
    say((error as Error).message);
  }
}

function checkLeaf(node: Node, named: Map<string, string>, say: (what: string) => void): void {
  const [out] = node.outs,
    type = typeText(out);
  const bytes = sizeOf(out.shape) * bytesPerElement[out.dtype];
  if (node.op === 'constant') {
    const { data } = node.payload as HostTensor;
    if (data.length !== sizeOf(out.shape)) say(`has ${data.length} values for ${type}`);
  } else if (node.op === 'weight') {
    const source = node.payload as WeightSource;
    const held = 'file' in source ? source.bytes : source.value.data.byteLength;
    if (held !== bytes) say(`"${source.key}" has ${held} bytes for ${type}, which needs ${bytes}`);
  } else {
    const key = `${node.op} ${leafName(out)}`,
      before = named.get(key);
    if (before !== undefined && before !== type) say(`"${leafName(out)}" is both ${before} and ${type}`);
    named.set(key, type);
  }
}
