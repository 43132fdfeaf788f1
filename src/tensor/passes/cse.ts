/** Common subexpressions: nodes that compute the same are computed once. */
import type { HostTensor } from '../host.js';
import type { Node, Tensor, WeightSource } from '../tensor.js';
import { rebuild, rewrite } from './rewrite.js';

/** Literals up to this many values are compared by value, larger ones by identity. */
const COMPARED = 16;

/** Leaves of equal name and type are one, too. */
export function shareCommon(outputs: readonly Tensor[]): Tensor[] {
  const known = new Map<string, readonly Tensor[]>();
  const identities = new Map<object, number>();
  const identity = (thing: object): number => {
    const id = identities.get(thing) ?? identities.size;
    identities.set(thing, id);
    return id;
  };
  return rewrite(outputs, (node, inputs) => {
    const key = [
      node.op,
      ...inputs.map((t) => `${t.node.id}.${t.index}`),
      JSON.stringify(node.attrs),
      typesOf(node),
      payloadKey(node, identity),
    ].join('|');
    const results = known.get(key) ?? rebuild(node, inputs).outs;
    known.set(key, results);
    return results;
  });
}

const typesOf = (node: Node): string => node.outs.map((o) => `${o.dtype}[${o.shape}]`).join(',');

function payloadKey({ op, payload }: Node, identity: (thing: object) => number): string {
  if (!payload) return '';
  if (op === 'constant') {
    const { data } = payload as HostTensor;
    // Object.is keeps 0 and -0 apart.
    return data.length <= COMPARED
      ? Array.from(data as ArrayLike<number>, (v) => (Object.is(v, -0) ? '-0' : String(v))).join(',')
      : `#${identity(data)}`;
  }
  const source = payload as WeightSource;
  return 'file' in source ? `${source.file}:${source.offset}` : `#${identity(source.value.data)}`;
}
