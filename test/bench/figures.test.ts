import t from 'tap';
import { barsText, holds, stepBars } from '../../bench/bars.js';
import { copyBandwidth, processor } from '../../bench/processor.js';
import { foreignPercent, isBusy, refuseBusy } from '../../bench/busy.js';
import type { CaseResult } from '../../bench/case.js';
import { casesOf, neededMegabytes, peerMode, tooLarge } from '../../bench/cases.js';
import { growthNotes } from '../../bench/growth.js';
import { jobNotes, jobTable, type JobRow } from '../../bench/job.js';
import { childSeconds, foreignBetween, mappedKilobytes, megabytes } from '../../bench/machine.js';
import { flatness } from '../../bench/soak.js';
import { firstStep } from '../../bench/startup.js';
import { growth, median, pooled, spreadPercent, steady } from '../../bench/stats.js';
import { rowOf, stepNotes } from '../../bench/steps.js';
import { type StepRow } from '../../bench/step-row.js';
import { figure, gigabytes, markdownTable, ratio, textTable } from '../../bench/table.js';

const timed = (all_s: number[], foreign_cpu_percent: number[] = all_s.map(() => 0), peak_mb = 100) => ({
  all_s,
  foreign_cpu_percent,
  peak_mb,
});
const ours = (all_s: number[], peak_mb: number, foreign = 0): CaseResult => ({
  ...timed(
    all_s,
    all_s.map(() => foreign),
    peak_mb,
  ),
  first_s: all_s[0] + 1,
  session_s: 0.5,
  private_mb: 20,
  mapped_mb: 2000,
  grown_mb: 90,
});

void t.test('median: the middle of an odd number, the mean of two in the middle, and an error for none', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 3, 2]), 2.5);
  t.throws(() => median([]), { message: 'median: no values' });
});

void t.test('the first step of every process is left out, unless it is the only one', async (t) => {
  t.strictSame(steady([9, 1, 2]), [1, 2]);
  t.strictSame(steady([9]), [9]);
  t.equal(pooled([timed([9, 1, 2]), timed([8, 3])]), 2);
  t.equal(spreadPercent([timed([9, 1, 1.25]), timed([8, 1])]), 25);
});

void t.test('a run is busy when the usual step of any process saw others use more than 15 % of a core', async (t) => {
  t.equal(foreignPercent([timed([1, 1, 1], [90, 2, 3]), timed([1, 1, 1], [4, 5, 6])]), 5);
  t.equal(isBusy([timed([1, 1, 1], [90, 2, 3])]), false, 'one disturbed step of three');
  t.equal(isBusy([timed([1], [0]), timed([1, 1, 1], [16, 90, 2])]), true, 'the opponent counts, too');
});

void t.test('a busy machine is refused, and with --force warned of', async (t) => {
  t.equal(refuseBusy(15, false), undefined);
  t.throws(() => refuseBusy(16, false), {
    name: 'UserError',
    message:
      'bench: other processes use 16 % of a core, more than 15, so times would say little; wait, or measure all the same with --force',
  });
  t.equal(refuseBusy(120, true), 'other processes use 120 % of a core, more than 15; such rows are marked');
});

void t.test('foreign CPU is what the machine used beyond this process, in percent of a core', async (t) => {
  t.equal(foreignBetween({ machine: 100, own: 10, at: 0 }, { machine: 103, own: 12, at: 2 }), 50);
  t.equal(
    foreignBetween({ machine: 100, own: 10, at: 0 }, { machine: 101, own: 11.2, at: 2 }),
    0,
    'never below nothing',
  );
});

void t.test('CPU of ended children is read behind a name with blanks and brackets', async (t) => {
  t.equal(childSeconds('42 (a (b) c) S 1 42 42 0 -1 4194304 1 2 3 4 11 22 250 50 20 0 1 0'), 3);
  t.equal(childSeconds(''), 0);
});

void t.test('memory is read from /proc by exact name', async (t) => {
  t.equal(megabytes('VmHWM:\t    2048 kB\nVmRSS:\t  1024 kB\n', 'VmRSS'), 1);
  t.equal(megabytes('AnonHugePages:  4096 kB\nAnonymous:  512 kB\n', 'Anonymous'), 0.5);
  t.equal(megabytes('', 'VmRSS'), undefined);
});

void t.test(
  'mapped weights: clean resident pages of the files, by inode, whatever the name; pages written to are copies',
  async (t) => {
    const smaps = `7f0000000000-7f0000100000 r--p 00000000 fe:00 12345                      /tmp/x/0.safetensors (deleted)
Size:               1024 kB
Shared_Clean:        300 kB
Private_Clean:       200 kB
Private_Dirty:        50 kB
7f0000200000-7f0000300000 rw-p 00000000 00:00 0 
Private_Clean:       999 kB
7f0000400000-7f0000500000 r--p 00001000 fe:00 12345                      /other/name
Private_Clean:         7 kB
7f0000600000-7f0000700000 r--p 00000000 fe:00 99                         /usr/lib/libc.so
Shared_Clean:        777 kB
`;
    t.equal(mappedKilobytes(smaps, new Set(['12345'])), 507);
    t.equal(mappedKilobytes(smaps, new Set(['1'])), 0);
  },
);

void t.test('cases: full training at 256 px only, what layouts share once, batches for training only', async (t) => {
  const cases = casesOf({
    layouts: ['small', 'tiny'],
    sizes: [256, 512],
    batches: [1, 4],
    modes: ['lora', 'full', 'sample', 'decode', 'text'],
  });
  t.strictSame(
    cases.map((c) => `${c.layout} ${c.size} ${c.mode} ${c.batch}`),
    [
      'small 256 lora 1',
      'small 256 lora 4',
      'small 256 full 1',
      'small 256 full 4',
      'small 256 sample 1',
      'small 256 decode 1',
      'small 256 text 1',
      'small 512 lora 1',
      'small 512 lora 4',
      'small 512 sample 1',
      'small 512 decode 1',
      'tiny 256 lora 1',
      'tiny 256 lora 4',
      'tiny 256 full 1',
      'tiny 256 full 4',
      'tiny 256 sample 1',
      'tiny 512 lora 1',
      'tiny 512 lora 4',
      'tiny 512 sample 1',
    ],
  );
});

void t.test('the opponent knows LoRA, full training and a forward pass; guidance is a batch of two', async (t) => {
  const of = (mode: 'lora' | 'sample' | 'decode', batch: number) =>
    peerMode({ layout: 'small', size: 256, mode, batch });
  t.strictSame(of('lora', 4), { mode: 'lora', batch: 4 });
  t.strictSame(of('sample', 1), { mode: 'forward', batch: 2 });
  t.equal(of('decode', 1), undefined);
});

void t.test('a case that cannot fit is not started, and says what it needs', async (t) => {
  const full = { layout: 'sd15', size: 256, mode: 'full', batch: 1 } as const;
  t.match(tooLarge(full, 8000), /^needs about 1\d\.\d GB, 7\.8 GB are free$/);
  t.equal(tooLarge({ ...full, mode: 'text' }, 8000), undefined);
  t.ok(neededMegabytes({ ...full, mode: 'lora' }) < neededMegabytes({ ...full, mode: 'lora', batch: 4 }));
});

void t.test('a row: ratio of medians, the higher of the peaks, the most foreign CPU of either side', async (t) => {
  const row = rowOf(
    { layout: 'small', size: 256, mode: 'lora', batch: 1 },
    [ours([5, 1, 2], 1000), ours([5, 3], 1200, 40)],
    [timed([9, 4, 4], [0, 0, 0], 2400)],
    undefined,
  );
  const { runs, ...figures } = row;
  t.equal(runs?.ours.length, 2);
  t.strictSame(figures, {
    layout: 'small',
    size: 256,
    mode: 'lora',
    batch: 1,
    ours_s: 2,
    spread_percent: 100,
    ours_mb: 1200,
    peer_s: 4,
    time_ratio: 0.5,
    peer_mb: 2400,
    memory_ratio: 0.5,
    private_mb: 20,
    mapped_mb: 2000,
    session_s: 0.5,
    first_s: 6,
    foreign_cpu_percent: 40,
    busy: true,
  });
  t.equal(
    'time_ratio' in rowOf({ layout: 'small', size: 256, mode: 'text', batch: 1 }, [ours([1, 1], 10)], [], 'no PyTorch'),
    false,
  );
});

void t.test('bars: from rows at batch 1, held as they are shown, unmeasured ones left out', async (t) => {
  const row = (
    layout: string,
    size: number,
    mode: 'lora' | 'sample',
    ours_s: number,
    time_ratio: number,
    batch = 1,
  ): StepRow => ({ layout, size, mode, batch, ours_s, time_ratio, memory_ratio: 1.204 });
  const rows = [
    row('small', 512, 'lora', 4, 0.704),
    row('sd15', 512, 'lora', 8, 0.76),
    row('small', 256, 'lora', 9, 0.1, 4),
  ];
  const measured = stepBars(rows, 'GenuineIntel').filter((bar) => bar.measured !== undefined);
  t.strictSame(
    measured.map((bar) => [bar.what, bar.measured, holds(bar)]),
    [
      ["small LoRA step 512 px, time over PyTorch's", 0.704, true],
      ["small LoRA step 512 px, memory over PyTorch's", 1.204, false],
      ["sd15 LoRA step 512 px, time over PyTorch's", 0.76, false],
      ["sd15 LoRA step 512 px, memory over PyTorch's", 1.204, false],
      ['LoRA step 512 px, time of small over sd15', 0.5, true],
    ],
  );
  t.match(stepNotes(rows), /^bar +at most +measured\n/);
  t.match(
    barsText(stepBars(rows, 'AuthenticAMD')),
    /sd15 LoRA step 512 px, time over PyTorch's +0\.55 +0\.76 +missed/,
    'each maker has bars of its own',
  );
  t.strictSame(
    stepBars(rows.map((r) => ({ ...r, busy: true })))
      .filter((bar) => bar.measured !== undefined)
      .map((bar) => bar.measured),
    [1.204, 1.204],
    'of busy rows, memory alone',
  );
  t.equal(barsText(stepBars([])), '');
});

void t.test('tables: numbers to the right, text to the left; Markdown', async (t) => {
  const columns = [
    { head: 'what', cell: (r: { a: string; b: number }) => r.a },
    { head: 's', cell: (r: { a: string; b: number }) => figure(r.b) },
  ];
  const rows = [
    { a: 'lora', b: 12.34 },
    { a: 'x', b: 0.01234 },
  ];
  t.equal(textTable(columns, rows), 'what       s\nlora    12.3\nx     0.0123');
  t.equal(markdownTable(columns, rows), '| what | s |\n| --- | --- |\n| lora | 12.3 |\n| x | 0.0123 |');
});

void t.test('figures: three digits, four decimals at most, nothing for nothing', async (t) => {
  t.strictSame([123.4, 12.34, 1.234, 0.1234, 0.00012, 0, undefined, NaN].map(figure), [
    '123',
    '12.3',
    '1.23',
    '0.123',
    '0.0001',
    '0',
    '',
    '',
  ]);
  t.strictSame([gigabytes(1536), gigabytes(undefined), ratio(0.4951), ratio(undefined)], ['1.50', '', '0.50', '']);
});

void t.test('growth: 1 is linear, 2 quadratic; the bars name what was measured', async (t) => {
  t.equal(growth([10, 5], [100, 50]), 1);
  t.equal(growth([10, 5], [100, 500]), 2);
  t.equal(
    growthNotes([
      { layout: 'small', size: 256, mode: 'lora', batch: 1, step_s: 1, per_sample: 1 },
      { layout: 'small', size: 256, mode: 'lora', batch: 8, step_s: 7.2, per_sample: 0.9 },
      { layout: '', size: 256, mode: 'attention', batch: 1, grown_mb: 20 },
      { layout: '', size: 512, mode: 'attention', batch: 1, grown_mb: 80 },
    ]),
    'small 256 px: a sample at batch 8 takes 0.90 of one at batch 1 (bar: 0.90 to 1.10)\nattention: memory grows with pixels to the power of 1.00 from 256 to 512 px (1 is linear, 2 would be quadratic)',
  );
  t.equal(growthNotes([]), '');
});

void t.test('soak: the last tenth against the first tenth after warm-up, by medians', async (t) => {
  const samples = Array.from({ length: 100 }, (_, i) => ({
    iteration: (i + 1) * 10,
    resident_mb: i < 5 ? 50 : i < 50 ? 200 : 204,
  }));
  samples[95] = { iteration: 960, resident_mb: 900 }; // while a picture is drawn
  t.strictSame(flatness(samples, 1000), { first_mb: 200, last_mb: 204, growth_percent: 2 });
  t.throws(() => flatness([], 1000), { message: 'median: no values' });
});

void t.test('start-up: the first step began when it ended less what a step takes', async (t) => {
  t.strictSame(firstStep([5, 7, 9, 12]), { begun: 3, done: 5 });
});

void t.test('a job: a line per phase, a column per run, and what caching saves', async (t) => {
  const rows: JobRow[] = [
    { run: 'cold', wall_s: 9, phases: { open: 1, steps: 8 }, same_losses: true, foreign_cpu_percent: 0 },
    { run: 'warm', wall_s: 5, phases: { open: 1, steps: 3.5, encode: 0.5 }, same_losses: true, foreign_cpu_percent: 0 },
    { run: 'off', wall_s: 7, phases: { open: 1, steps: 4, encode: 2 }, same_losses: true, foreign_cpu_percent: 99 },
  ];
  const { columns, lines } = jobTable(rows);
  t.equal(
    textTable(columns, lines),
    'seconds  cold  warm  off\nopen      1.0   1.0  1.0\nsteps     8.0   3.5  4.0\nencode          0.5  2.0\nall       9.0   5.0  7.0',
  );
  t.equal(
    jobNotes(rows),
    'busy: other processes used 99 % of a core in "off"\nWith latents and text cached, encoding takes 0.5 s instead of 2.0 s; the losses are the same to the last bit.',
  );
  t.match(jobNotes([rows[0], rows[1], { ...rows[2], same_losses: false }]), /the losses are NOT the same/);
});

void t.test('the processor: what the system tells, and nothing where it tells nothing', async (t) => {
  const info = `vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) Processor\nstepping\t: 8\nflags\t\t: fpu avx2 fma avx512f amx_tile\n`;
  const files: Record<string, string> = {
    'index0/level': '1\n',
    'index0/type': 'Data\n',
    'index0/size': '48K\n',
    'index1/level': '1\n',
    'index1/type': 'Instruction\n',
    'index2/level': '2\n',
    'index2/type': 'Unified\n',
    'index2/size': '2048K\n',
    'index3/level': '3\n',
    'index3/type': 'Unified\n',
    'index3/size': '105M\n',
  };
  const { cores, ...known } = processor(info, (file) => files[file] ?? '');
  t.ok(cores >= 1);
  t.strictSame(known, {
    model: 'Intel(R) Xeon(R) Processor',
    vendor: 'GenuineIntel',
    signature: '6/143/8',
    caches: { L1d: 48 * 2 ** 10, L2: 2 ** 21, L3: 105 * 2 ** 20 },
    flags: ['avx2', 'fma', 'avx512f', 'amx_tile'],
  });
  t.match(
    processor('', () => ''),
    { vendor: 'unknown', signature: '?/?/?', caches: {}, flags: [] },
  );
  t.ok(copyBandwidth(2 ** 20) > 0.1);
});
