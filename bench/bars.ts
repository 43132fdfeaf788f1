/** What the figures of a run are held to. */
import { processor } from './processor.js';
import type { StepRow } from './step-row.js';
import { textTable, type Column } from './table.js';

export interface Bar {
  readonly what: string;
  readonly limit: number;
  /** undefined: this run did not measure it */
  readonly measured: number | undefined;
}

type Key = Pick<StepRow, 'layout' | 'size' | 'mode'>;

/** Times over PyTorch's by the processor's maker: its own libraries are the better on Intel's, so the bars are lower there. */
interface TimeBar {
  readonly intel: number;
  readonly amd: number;
}

/**
 * All are at batch 1, and smaller is better. The times of busy rows say nothing, their memory does.
 * @param vendor of the processor that measured; one that is neither Intel nor AMD is held to Intel's bars
 */
export function stepBars(rows: readonly StepRow[], vendor = processor().vendor): Bar[] {
  const find = ({ layout, size, mode }: Key): StepRow | undefined =>
    rows.find((r) => r.layout === layout && r.size === size && r.mode === mode && r.batch === 1);
  const quiet = (row: StepRow | undefined): StepRow | undefined => (row?.busy ? undefined : row);
  const against = (what: string, key: Key, time: TimeBar, memory: number): Bar[] => [
    {
      what: `${what}, time over PyTorch's`,
      limit: vendor === 'AuthenticAMD' ? time.amd : time.intel,
      measured: quiet(find(key))?.time_ratio,
    },
    { what: `${what}, memory over PyTorch's`, limit: memory, measured: find(key)?.memory_ratio },
  ];
  const overSd15 = (layout: string): Bar => {
    const [small, large] = [layout, 'sd15']
      .map((name) => find({ layout: name, size: 512, mode: 'lora' }))
      .map((row) => quiet(row)?.ours_s);
    return {
      what: `LoRA step 512 px, time of ${layout} over sd15`,
      limit: 0.62,
      measured: small === undefined || large === undefined ? undefined : small / large,
    };
  };
  return [
    ...against('small LoRA step 512 px', { layout: 'small', size: 512, mode: 'lora' }, { intel: 0.7, amd: 0.5 }, 0.85),
    ...against('small LoRA step 256 px', { layout: 'small', size: 256, mode: 'lora' }, { intel: 0.5, amd: 0.4 }, 0.9),
    ...against('sd15 LoRA step 512 px', { layout: 'sd15', size: 512, mode: 'lora' }, { intel: 0.75, amd: 0.55 }, 0.9),
    overSd15('tiny'),
    overSd15('small'),
    ...against(
      'small guided sampling step 512 px',
      { layout: 'small', size: 512, mode: 'sample' },
      { intel: 0.65, amd: 0.5 },
      0.9,
    ),
    ...against(
      'small full-parameter step 256 px',
      { layout: 'small', size: 256, mode: 'full' },
      { intel: 0.45, amd: 0.35 },
      1,
    ),
  ];
}

/** Rounded as it is shown: a ratio of 0.621 holds 0.62. */
export const holds = ({ limit, measured }: Bar): boolean | undefined =>
  measured === undefined ? undefined : Number(measured.toFixed(2)) <= limit;

const barColumns: readonly Column<Bar>[] = [
  { head: 'bar', cell: (b) => b.what },
  { head: 'at most', cell: (b) => String(b.limit) },
  { head: 'measured', cell: (b) => b.measured?.toFixed(2) ?? 'not measured' },
  { head: '', cell: (b) => (b.measured === undefined ? '' : holds(b) ? 'holds' : 'missed') },
];

/** Only bars that were measured. */
export function barsText(bars: readonly Bar[]): string {
  const measured = bars.filter((b) => b.measured !== undefined);
  return measured.length === 0 ? '' : textTable(barColumns, measured);
}
