/** How long people wait before anything happens. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildOptions } from './child.js';
import { diffengine, iterations, train } from './command.js';
import type { Results } from './results.js';
import { median } from './stats.js';
import type { Column } from './table.js';
import { randomPipeline } from './weights.js';

export interface StartupRow {
  readonly what: string;
  readonly bar_s: number;
  /** median */
  readonly measured_s: number;
  /** with the first step itself */
  readonly first_step_done_s?: number;
  readonly all_s: readonly number[];
}

const NO_PICTURES = ['custom_hooks.preview=null', 'custom_hooks.evaluation=null', 'train_cfg.max_iters=4'];

export async function benchStartup(
  reps: number,
  results: Results<StartupRow>,
  child: ChildOptions,
  show: (row: StartupRow) => void,
): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'diffengine-bench-'));
  const add = async (row: StartupRow): Promise<void> => {
    await results.add(row);
    show(row);
  };
  try {
    const help: number[] = [];
    for (let i = 0; i < 2 * reps; i++) {
      const start = performance.now();
      await diffengine(['--help'], child);
      help.push((performance.now() - start) / 1000);
    }
    await add({ what: 'diffengine --help', bar_s: 0.3, measured_s: median(help), all_s: help });
    // Class pictures are made once per model and prompt, so the first of the runs makes them and does not count.
    const toyland = ['toyland_small_sd_dreambooth_lora_dog', 'toyland_sd_dreambooth_lora_dog'].map(
      (config) => [`${config} to its first step`, 3, config, async () => NO_PICTURES] as const,
    );
    const small = [
      'small-sd LoRA 512 px to its first step',
      6,
      'small_sd_dreambooth_lora_dog',
      async () => [
        ...NO_PICTURES,
        `model.model=${await randomPipeline('small')}`,
        'train_dataloader.dataset.dataset=package:assets/dog-drawings',
        'train_dataloader.dataset.class_prompt=null',
        'train_dataloader.batch_size=1',
      ],
    ] as const;
    for (const [what, bar_s, config, options] of [...toyland, small]) {
      const begun: number[] = [],
        done: number[] = [],
        set = await options();
      for (let i = 0; i <= reps; i++) {
        const one = await untilFirstStep(config, join(scratch, `${config}-${i}`), set, {
          ...child,
          env: { ...child.env, DIFFENGINE_CACHE: join(scratch, 'cache') },
        });
        if (i === 0) continue;
        begun.push(one.begun);
        done.push(one.done);
      }
      await add({ what, bar_s, measured_s: median(begun), first_step_done_s: median(done), all_s: begun });
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Seen from outside: when the log gets its first line, and how long a later step takes. */
async function untilFirstStep(
  config: string,
  workDir: string,
  set: readonly string[],
  child: ChildOptions,
): Promise<{ begun: number; done: number }> {
  const seen: number[] = [];
  await train(config, workDir, set, child, {
    everyMs: 5,
    look: (_pid, elapsed) => {
      for (let n = seen.length, now = iterations(workDir); n < now; n++) seen.push(elapsed);
    },
  });
  return firstStep(seen);
}

/** The first step began when it ended less what a step takes. @param seen seconds at which each step had ended */
export function firstStep(seen: readonly number[]): { begun: number; done: number } {
  const steps = seen.slice(1).map((at, i) => at - seen[i]);
  return { begun: Math.max(0, seen[0] - median(steps)), done: seen[0] };
}

export const startupColumns: readonly Column<StartupRow>[] = [
  { head: 'what', cell: (r) => r.what },
  { head: 'bar s', cell: (r) => String(r.bar_s) },
  { head: 'measured s', cell: (r) => r.measured_s.toFixed(2) },
  { head: 'to the end of that step s', cell: (r) => r.first_step_done_s?.toFixed(2) ?? '' },
  { head: '', cell: (r) => (r.measured_s <= r.bar_s ? 'holds' : 'missed') },
];
