/** Gradients of a graph's named leaves, and their comparison with reference gradients. */
import { grad } from '../../src/tensor/autodiff.js';
import { floats, type HostTensor, type Shape } from '../../src/tensor/host.js';
import { add } from '../../src/tensor/ops.js';
import { input, leafName, topo, type Tensor } from '../../src/tensor/tensor.js';
import type { Golden } from './context.js';
import { LIMITS } from './limits.js';

/** Tensors by the name of their parameter. */
export type Values = Record<string, HostTensor>;

/** An input in place of a parameter, so that a plain program can be fed its values. */
export const fed = (name: string, shape: Shape): Tensor => input(name, shape);

/** Leaves of that name in a graph; the same parameter may stand in it several times. */
export function gradients(loss: Tensor, names: Iterable<string>): Record<string, Tensor> {
  const leaves = topo([loss])
    .filter((n) => n.op === 'input')
    .map((n) => n.outs[0]);
  const byName = new Map<string, Tensor[]>();
  for (const l of leaves) byName.set(leafName(l), [...(byName.get(leafName(l)) ?? []), l]);
  const wanted = [...names],
    flat = wanted.flatMap((n) => (byName.get(n) ?? []).map((l) => [n, l] as const));
  const grads = grad(
    loss,
    flat.map(([, l]) => l),
  );
  const out: Record<string, Tensor> = {};
  flat.forEach(([n], i) => (out[n] = out[n] ? add(out[n], grads[i]) : grads[i]));
  return out;
}

/** Each gradient against its reference, and all of them as one vector. */
export function compareGradients(golden: Golden, label: string, actual: Values, expected: Values): void {
  const names = Object.keys(expected);
  for (const name of names)
    golden.report.rel(`${label}/${name}`, floats(actual[name]), floats(expected[name]), LIMITS.gradient);
  const flat = (values: Values): number[] => names.flatMap((n) => Array.from(floats(values[n])));
  golden.report.rel(`${label}/(all as one)`, flat(actual), flat(expected), LIMITS.gradientWhole);
}
