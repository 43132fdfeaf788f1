/** Ranks with a share of the cores each, against one process with all of them that takes their batches in turn. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChild, type ChildOptions } from './child.js';
import type { BenchOptions } from './options.js';
import type { Results } from './results.js';
import type { Column } from './table.js';
import { randomPipeline } from './weights.js';

export interface RanksRow {
  readonly layout: string;
  readonly size: number;
  readonly ranks: number;
  /** of each process */
  readonly threads: number;
  /** seconds of an update: a batch of every rank */
  readonly update: number;
  /** of it, what ranks say to each other, and waiting for the slower one */
  readonly exchange: number;
}

const CLI = fileURLToPath(new URL('../tools/cli.js', import.meta.url));

/** Both sides in turn, `pairs` times; LoRA with batches of one. */
export async function benchRanks(
  n: number,
  { layouts, sizes, pairs, reps }: BenchOptions,
  results: Results<RanksRow>,
  child: ChildOptions,
  show: (row: RanksRow) => void,
): Promise<void> {
  for (const layout of layouts)
    for (const size of sizes)
      for (let pair = 0; pair < pairs; pair++)
        for (const ranks of [n, 1]) {
          const row = await measure(await randomPipeline(layout), layout, size, ranks, n, reps, child);
          await results.add(row);
          show(row);
        }
}

async function measure(
  model: string,
  layout: string,
  size: number,
  ranks: number,
  batches: number,
  updates: number,
  child: ChildOptions,
): Promise<RanksRow> {
  const work = await mkdtemp(join(tmpdir(), 'bench-ranks-')),
    threads = Math.max(1, Math.floor(availableParallelism() / ranks)),
    perRank = batches / ranks;
  const pipeline = `[{type: Resize, size: ${size}}, {type: CenterCrop, size: ${size}}, {type: ToTensor}, {type: Normalize, mean: [0.5], std: [0.5]}, {type: PackInputs}]`;
  const options = [
    `model.model=${model}`,
    'train_dataloader.batch_size=1',
    'train_dataloader.dataset.class_prompt=null',
    `train_dataloader.dataset.pipeline=${pipeline}`,
    'custom_hooks=null',
    `train_cfg.max_iters=${updates * perRank}`,
    `optim_wrapper.accumulative_counts=${perRank}`,
    `backend.intra_op_num_threads=${threads}`,
  ];
  const launch = ranks === 1 ? [] : ['--gpus', String(ranks), '--launcher', 'mpi'];
  try {
    const config = 'tiny_random_sd_dreambooth_lora_dog';
    await runChild(
      process.execPath,
      [CLI, 'train', config, ...launch, '--work-dir', work, '--cfg-options', ...options],
      child,
    );
    const seconds = JSON.parse(await readFile(join(work, 'phases.json'), 'utf8')) as Record<string, number>;
    const exchange = (seconds['exchange'] ?? 0) / updates;
    const update = (seconds['steps'] ?? 0) / updates + exchange;
    return { layout, size, ranks, threads, update, exchange };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

export const ranksColumns: readonly Column<RanksRow>[] = [
  { head: 'layout', cell: ({ layout }) => layout },
  { head: 'px', cell: ({ size }) => String(size) },
  { head: 'ranks', cell: ({ ranks }) => String(ranks) },
  { head: 'threads each', cell: ({ threads }) => String(threads) },
  { head: 's per update', cell: ({ update }) => update.toFixed(2) },
  { head: 'exchange', cell: ({ update, exchange }) => `${((100 * exchange) / update).toFixed(1)} %` },
];
