/** Programs whose results must be numbers: one that is not would end as a black picture, or a score of nothing. */
import { UserError } from '../base/errors.js';
import { firstNonFinite, nameOfNonFinite } from '../tensor/finite.js';
import type { HostTensor } from '../tensor/host.js';
import { leafName, topo, type Node, type Tensor, type WeightSource } from '../tensor/tensor.js';
import { rootsOf, type Backend, type Executable, type Feeds, type Program } from './backend.js';
import { readWeight } from './read-weight.js';

/**
 * As `backend.compile`. A run whose results hold a value that is not finite throws.
 * @throws UserError naming the weight that is to blame, if one is
 */
export async function compileFinite(backend: Backend, program: Program): Promise<Executable> {
  const executable = await backend.compile(program);
  return {
    run: async (feeds) => {
      const fetched = await executable.run(feeds);
      for (const [name, result] of Object.entries(fetched)) {
        const at = firstNonFinite(result);
        if (at >= 0) throw await blame(backend, program, feeds, `${name} is ${nameOfNonFinite(result, at)}`);
      }
      return fetched;
    },
    dispose: () => executable.dispose(),
  };
}

async function blame(backend: Backend, program: Program, feeds: Feeds, what: string): Promise<UserError> {
  const result = `${program.name}: ${what}`,
    holder = await holderOfNonFinite(rootsOf(program), (name) => backend.states.read(name));
  if (holder !== undefined)
    return new UserError(
      `${holder}, so that ${result}; nothing can be computed with it, use another file or an earlier checkpoint`,
    );
  const fed = Object.entries(feeds).find(([, tensor]) => firstNonFinite(tensor) >= 0);
  return new UserError(
    fed
      ? `${result}, for its input "${fed[0]}" already is no number; a scale, a guidance or a setting of the sampler is too large`
      : `${result}, and all weights are numbers: values grow beyond float32; try a smaller --lora-scale or guidance, or an earlier checkpoint`,
  );
}

/**
 * The first weight below these tensors that is no number, in words: where it is, and what it holds.
 * @param state reads a trained value; without it only weights of files are looked at
 */
export async function holderOfNonFinite(
  roots: readonly Tensor[],
  state?: (name: string) => Promise<HostTensor>,
): Promise<string | undefined> {
  for (const node of topo(roots)) {
    const value = await valueOf(node, state);
    const at = value ? firstNonFinite(value) : -1;
    if (!value || at < 0) continue;
    const where =
      node.op === 'weight' ? placeOf(node.payload as WeightSource) : `trained values ${leafName(node.outs[0])}`;
    return `${where}: holds ${nameOfNonFinite(value, at)} (value ${at} of ${value.data.length})`;
  }
  return undefined;
}

async function valueOf(
  node: Node,
  state: ((name: string) => Promise<HostTensor>) | undefined,
): Promise<HostTensor | undefined> {
  if (node.op === 'weight') return readWeight(node.payload as WeightSource, node.outs[0]);
  return node.op === 'state' ? state?.(leafName(node.outs[0])) : undefined;
}

const placeOf = (source: WeightSource): string =>
  'file' in source ? `${source.file}: tensor "${source.key}"` : `adapter: tensor "${source.key}"`;
