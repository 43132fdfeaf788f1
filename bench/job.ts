/** A whole job as users run it, by phase: with nothing in the cache, with class pictures there, and without caches. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BUSY_PERCENT } from './busy.js';
import type { ChildOptions } from './child.js';
import { train } from './command.js';
import { foreignBetween, cpuSeconds } from './machine.js';
import type { Results } from './results.js';
import type { Column } from './table.js';

export interface JobRow {
  readonly run: string;
  readonly wall_s: number;
  /** of the trainer, phases.json; `other` is what is not in it: starting Node, reading the config, ending */
  readonly phases: Readonly<Record<string, number>>;
  /** the losses of all iterations equal the first run's, to the last bit */
  readonly same_losses: boolean;
  readonly foreign_cpu_percent: number;
}

const RUNS = [
  { run: 'nothing cached yet', set: [] },
  { run: 'class pictures cached', set: [] },
  { run: 'latents and text not cached', set: ['model.cache_latents=false', 'model.cache_text=false'] },
] as const;

export async function benchJob(
  config: string,
  set: readonly string[],
  results: Results<JobRow>,
  child: ChildOptions,
  show: (row: JobRow) => void,
): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'diffengine-bench-'));
  const losses: string[] = [];
  try {
    for (const [i, { run, set: own }] of RUNS.entries()) {
      const workDir = join(scratch, String(i)),
        children = { ...child, env: { ...child.env, DIFFENGINE_CACHE: join(scratch, 'cache') } };
      const before = cpuSeconds();
      const { wall_s } = await train(config, workDir, [...set, ...own], children);
      losses.push(readFileSync(join(workDir, 'log.jsonl'), 'utf8'));
      const phases = JSON.parse(readFileSync(join(workDir, 'phases.json'), 'utf8')) as Record<string, number>;
      const other = wall_s - Object.values(phases).reduce((a, b) => a + b, 0);
      const row = {
        run,
        wall_s,
        phases: { ...phases, other: Math.round(other * 1000) / 1000 },
        same_losses: losses[i] === losses[0],
        foreign_cpu_percent: foreignBetween(before, cpuSeconds()),
      };
      await results.add(row);
      show(row);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

interface Line {
  readonly phase: string;
  readonly seconds: readonly (number | undefined)[];
}

/** A line per phase, in the order in which they began, a column per run. */
export function jobTable(rows: readonly JobRow[]): { columns: readonly Column<Line>[]; lines: readonly Line[] } {
  const phases = [...new Set(rows.flatMap((r) => Object.keys(r.phases)))];
  const columns = [
    { head: 'seconds', cell: (line: Line) => line.phase },
    ...rows.map(({ run }, i) => ({ head: run, cell: (line: Line) => line.seconds[i]?.toFixed(1) ?? '' })),
  ];
  return {
    columns,
    lines: [
      ...phases.map((phase) => ({ phase, seconds: rows.map((r) => r.phases[phase]) })),
      { phase: 'all', seconds: rows.map((r) => r.wall_s) },
    ],
  };
}

export function jobNotes(rows: readonly JobRow[]): string {
  const seconds = (row: JobRow): string => (row.phases['encode'] ?? 0).toFixed(1);
  const [, warm, off] = rows,
    notes = rows
      .filter((r) => r.foreign_cpu_percent > BUSY_PERCENT)
      .map((r) => `busy: other processes used ${r.foreign_cpu_percent} % of a core in "${r.run}"`);
  if (warm && off)
    notes.push(
      `With latents and text cached, encoding takes ${seconds(warm)} s instead of ${seconds(off)} s; the losses are ${off.same_losses && warm.same_losses ? 'the same to the last bit' : 'NOT the same'}.`,
    );
  return notes.join('\n');
}
