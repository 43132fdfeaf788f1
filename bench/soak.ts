/** Many steps: does memory stay flat? */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildOptions } from './child.js';
import { iterations, train } from './command.js';
import { residentMegabytes } from './machine.js';
import type { Results } from './results.js';
import { median } from './stats.js';
import type { Column } from './table.js';

export interface Sample {
  readonly iteration: number;
  readonly resident_mb: number;
}

export interface SoakRow {
  readonly steps: number;
  readonly wall_s: number;
  /** median over the first tenth after warm-up, and over the last tenth */
  readonly first_mb: number;
  readonly last_mb: number;
  readonly growth_percent: number;
  readonly samples: readonly Sample[];
}

const CONFIG = 'toyland_sd_dreambooth_lora_dog';
/** Checkpoints and pictures are part of a long run; the measures of quality are not. */
const options = (steps: number): string[] => [
  `train_cfg.max_iters=${steps}`,
  'train_dataloader.batch_size=1',
  'train_dataloader.dataset.class_prompt=null',
  'optim_wrapper.optimizer.lr=1.0e-5',
  'custom_hooks.evaluation=null',
  `default_hooks.checkpoint.interval=${Math.ceil(steps / 10)}`,
  `custom_hooks.preview.interval=${Math.ceil(steps / 5)}`,
  'default_hooks.report.interval=-1',
];

export async function benchSoak(
  steps: number,
  results: Results<SoakRow>,
  child: ChildOptions,
  show: (row: SoakRow) => void,
): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'diffengine-bench-')),
    workDir = join(scratch, 'run'),
    samples: Sample[] = [];
  try {
    const look = (pid: number): void => {
      const resident_mb = residentMegabytes(pid);
      if (resident_mb !== undefined)
        samples.push({ iteration: iterations(workDir), resident_mb: Math.round(resident_mb * 10) / 10 });
    };
    const { wall_s } = await train(CONFIG, workDir, options(steps), child, { everyMs: 500, look });
    const row = { steps, wall_s, ...flatness(samples, steps), samples };
    await results.add(row);
    show(row);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Warm-up is a twentieth of the steps. A median, for while pictures are drawn memory is higher. @throws Error without samples in both windows */
export function flatness(
  samples: readonly Sample[],
  steps: number,
): Pick<SoakRow, 'first_mb' | 'last_mb' | 'growth_percent'> {
  const window = (from: number, to: number): number =>
    median(samples.filter((s) => s.iteration > from && s.iteration <= to).map((s) => s.resident_mb));
  const first = window(steps / 20, steps / 20 + steps / 10),
    last = window(steps - steps / 10, steps);
  return { first_mb: first, last_mb: last, growth_percent: Math.round(10000 * (last / first - 1)) / 100 };
}

export const soakColumns: readonly Column<SoakRow>[] = [
  { head: 'steps', cell: (r) => String(r.steps) },
  { head: 'minutes', cell: (r) => (r.wall_s / 60).toFixed(1) },
  { head: 'first tenth after warm-up, MB', cell: (r) => r.first_mb.toFixed(0) },
  { head: 'last tenth, MB', cell: (r) => r.last_mb.toFixed(0) },
  { head: 'growth % (bar: 2)', cell: (r) => r.growth_percent.toFixed(2) },
];
