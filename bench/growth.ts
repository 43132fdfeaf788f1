/** How cost grows: time with the batch, memory of attention with the picture. */
import { isBusy } from './busy.js';
import { tooLarge, type CaseSpec, type Mode } from './cases.js';
import { OutOfMemory, type ChildOptions } from './child.js';
import { availableMegabytes } from './machine.js';
import type { Results } from './results.js';
import { growth, pooled } from './stats.js';
import { runCase } from './steps.js';
import { figure, type Column } from './table.js';
import { randomPipeline } from './weights.js';

export interface GrowthRow {
  readonly layout: string;
  readonly size: number;
  readonly mode: Mode;
  readonly batch: number;
  readonly skipped?: string;
  readonly step_s?: number;
  /** time over that of batch 1, divided by the batch: 1 is linear */
  readonly per_sample?: number;
  /** MB above what was resident before */
  readonly grown_mb?: number;
  readonly busy?: boolean;
}

export interface GrowthOptions {
  readonly layouts: readonly string[];
  readonly reps: number;
  readonly seconds: number;
}

const BATCHES = [1, 2, 4, 8];
/** 64 x 64 latents, the attention of 512 px, and around. */
const ATTENTION_SIZES = [256, 384, 512, 768, 1024];

export async function benchGrowth(
  { layouts, reps, seconds }: GrowthOptions,
  results: Results<GrowthRow>,
  child: ChildOptions,
  show: (row: GrowthRow) => void,
): Promise<void> {
  const cases = [
    ...layouts.flatMap((layout) =>
      BATCHES.map((batch) => ({ layout, size: layout === 'toyland' ? 64 : 256, mode: 'lora' as const, batch })),
    ),
    ...ATTENTION_SIZES.map((size) => ({ layout: '', size, mode: 'attention' as const, batch: 1 })),
  ];
  for (const c of cases) {
    const folder = c.mode === 'attention' ? '' : await randomPipeline(c.layout);
    const row = await measured({ ...c, folder, reps, seconds }, results.rows, child);
    await results.add(row);
    show(row);
  }
}

async function measured(
  { folder, reps, seconds, ...c }: CaseSpec,
  before: readonly GrowthRow[],
  child: ChildOptions,
): Promise<GrowthRow> {
  const skipped = tooLarge(c, availableMegabytes());
  if (skipped !== undefined) return { ...c, skipped };
  try {
    const result = await runCase({ ...c, folder, reps, seconds }, child),
      step = pooled([result]);
    const one =
      c.batch === 1 ? step : before.find((r) => r.layout === c.layout && r.mode === c.mode && r.batch === 1)?.step_s;
    return {
      ...c,
      step_s: step,
      ...(one === undefined ? {} : { per_sample: step / one / c.batch }),
      grown_mb: result.grown_mb,
      busy: isBusy([result]),
    };
  } catch (error) {
    if (error instanceof OutOfMemory) return { ...c, skipped: error.message };
    throw error;
  }
}

export const growthColumns: readonly Column<GrowthRow>[] = [
  { head: 'layout', cell: (r) => r.layout },
  { head: 'px', cell: (r) => String(r.size) },
  { head: 'what', cell: (r) => r.mode },
  { head: 'batch', cell: (r) => String(r.batch) },
  { head: 'step s', cell: (r) => figure(r.step_s) },
  {
    head: 'time per sample, batch 1 = 1',
    cell: (r) => (r.mode === 'attention' ? '' : (r.per_sample?.toFixed(2) ?? '')),
  },
  { head: 'memory MB', cell: (r) => r.grown_mb?.toFixed(0) ?? '' },
  { head: '', cell: (r) => r.skipped ?? (r.busy ? 'busy' : '') },
];

/** The two bars: time per sample at batch 8 within 10 % of batch 1's; memory of attention grows as pixels, exponent about 1. */
export function growthNotes(rows: readonly GrowthRow[]): string {
  const batches = rows
    .filter((r) => r.mode === 'lora' && r.batch === 8 && r.per_sample !== undefined)
    .map(
      (r) =>
        `${r.layout} ${r.size} px: a sample at batch 8 takes ${r.per_sample?.toFixed(2)} of one at batch 1 (bar: 0.90 to 1.10)`,
    );
  const sizes = rows.filter((r) => r.mode === 'attention' && r.grown_mb !== undefined),
    [first, last] = [sizes[0], sizes.at(-1)];
  if (!first || !last || first === last) return batches.join('\n');
  const exponent = growth([first.size ** 2, first.grown_mb ?? 0], [last.size ** 2, last.grown_mb ?? 0]);
  return [
    ...batches,
    `attention: memory grows with pixels to the power of ${exponent.toFixed(2)} from ${first.size} to ${last.size} px (1 is linear, 2 would be quadratic)`,
  ].join('\n');
}
