/** A checkpoint that rank 0 reads for all: the other ranks need not see its folder. */
import type { StateStore } from '../backends/backend.js';
import { bytesOf } from '../backends/bytes.js';
import { fromFirst, type Collectives } from '../collectives/collectives.js';
import { zeros } from '../tensor/host.js';
import type { TensorType } from '../tensor/tensor.js';
import type { Checkpoint } from './checkpoint.js';

type Told = Pick<Checkpoint, 'folder' | 'record'> | null;
type State = TensorType & { readonly name: string };

/** On rank 0. @returns the same checkpoint, which, restored here, is restored on all */
export async function sendCheckpoint(
  ranks: Collectives,
  checkpoint: Checkpoint | undefined,
): Promise<Checkpoint | undefined> {
  if (ranks.size === 1) return checkpoint;
  const told: Told = checkpoint ? { folder: checkpoint.folder, record: checkpoint.record } : null;
  await fromFirst(ranks, async () => told);
  return (
    checkpoint && {
      ...checkpoint,
      restore: async (states, names, config) => {
        await checkpoint.restore(states, names, config);
        await fromFirst(ranks, () => Promise.all(names.map(async (name) => ({ name, ...(await states.type(name)) }))));
        for (const name of names) await ranks.broadcast(bytesOf(await states.read(name)));
      },
    }
  );
}

/** On the others. States of hooks that act on rank 0 alone are passed over. */
export async function receiveCheckpoint(ranks: Collectives): Promise<Checkpoint | undefined> {
  const told = await fromFirst<Told>(ranks, async () => null);
  if (told === null) return undefined;
  const restore = async (states: StateStore, own: readonly string[]): Promise<void> => {
    for (const { name, dtype, shape } of await fromFirst<State[]>(ranks, async () => [])) {
      const value = zeros(dtype, shape);
      await ranks.broadcast(bytesOf(value));
      if (own.includes(name)) await states.write(name, value, true);
    }
  };
  return { ...told, restore };
}
