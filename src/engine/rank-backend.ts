/** What a rank computes with: its share of the machine. */
import { availableParallelism } from 'node:os';
import type { Collectives } from '../collectives/collectives.js';
import type { RunConfig } from './build-run.js';

type Options = Readonly<Record<string, unknown>>;

/** Ranks of one machine share its cores, and each takes the device of its number; what the config sets itself stays. */
export function backendOfRank(backend: object | undefined, ranks: Collectives): object | undefined {
  const { type = 'OnnxRuntimeBackend', ...options } = (backend ?? {}) as Options;
  if (ranks.size === 1 || type !== 'OnnxRuntimeBackend') return backend;
  const threads = Math.max(1, Math.floor(availableParallelism() / ranks.localSize));
  return {
    type,
    ...options,
    intra_op_num_threads: Number(options['intra_op_num_threads'] ?? 0) || threads,
    device_id: options['device_id'] ?? ranks.localRank,
  };
}

/** For the log: how many ranks there are, and which single process gives the same. */
export function ranksText(config: RunConfig, backend: object | undefined, ranks: Collectives): string {
  const { optim_wrapper: optim, train_cfg: train } = config,
    { type, intra_op_num_threads: threads } = (backend ?? {}) as Options;
  const same = [
    `optim_wrapper.accumulative_counts=${(optim.accumulative_counts ?? 1) * ranks.size}`,
    `train_cfg.max_iters=${train.max_iters * ranks.size}`,
    // With another number of threads ONNX Runtime adds in another order.
    ...(threads === undefined ? [] : [`backend.type=${String(type)} backend.intra_op_num_threads=${String(threads)}`]),
  ];
  return `${ranks.size} on ${ranks.library}, a batch each; one process with ${same.join(' ')} gives the same`;
}
