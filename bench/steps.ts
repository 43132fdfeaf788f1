/** Steps of training and sampling, in turn with PyTorch where it is. */
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { barsText, stepBars } from './bars.js';
import { foreignPercent, isBusy } from './busy.js';
import type { CaseResult } from './case.js';
import { casesOf, PEER_LAYOUTS, peerMode, tooLarge, type Case, type CaseSpec, type Selection } from './cases.js';
import { OutOfMemory, runForJson, type ChildOptions } from './child.js';
import { availableMegabytes } from './machine.js';
import type { Results } from './results.js';
import type { StepRow } from './step-row.js';
import { median, peak, pooled, spreadPercent, type Timed } from './stats.js';
import { figure, gigabytes, ratio, type Column } from './table.js';
import { randomPipeline } from './weights.js';

export interface Peer {
  readonly script: string;
  readonly python: string;
}

export interface StepOptions extends Selection {
  readonly reps: number;
  readonly pairs: number;
  /** most seconds of repetitions per process */
  readonly seconds: number;
  /** undefined: ours alone */
  readonly peer: Peer | undefined;
}

export async function benchSteps(
  options: StepOptions,
  results: Results<StepRow>,
  child: ChildOptions,
  show: (row: StepRow) => void,
): Promise<void> {
  for (const c of casesOf(options)) {
    const row = await measured(c, options, child);
    await results.add(row);
    show(row);
  }
}

async function measured(c: Case, options: StepOptions, child: ChildOptions): Promise<StepRow> {
  const skipped = tooLarge(c, availableMegabytes());
  if (skipped !== undefined) return { ...c, skipped };
  const ours: CaseResult[] = [],
    theirs: Timed[] = [];
  const spec: CaseSpec = { ...c, folder: await randomPipeline(c.layout), reps: options.reps, seconds: options.seconds };
  let noPeer = options.peer ? undefined : 'no PyTorch';
  for (let pair = 0; pair < options.pairs; pair++) {
    try {
      ours.push(await runCase(spec, child));
    } catch (error) {
      if (!(error instanceof OutOfMemory)) throw error;
      if (ours.length === 0) return { ...c, skipped: error.message };
    }
    if (options.peer && noPeer === undefined)
      noPeer = await opponent(options.peer, spec, ours[0].all_s.length, theirs, child);
  }
  return rowOf(c, ours, theirs, noPeer);
}

export function runCase(spec: CaseSpec, child: ChildOptions): Promise<CaseResult> {
  return runForJson(
    process.execPath,
    ['--expose-gc', fileURLToPath(new URL('./case.js', import.meta.url)), JSON.stringify(spec)],
    child,
  );
}

/** @returns why it cannot be measured, once it could not */
async function opponent(
  { script, python }: Peer,
  spec: CaseSpec,
  reps: number,
  into: Timed[],
  child: ChildOptions,
): Promise<string | undefined> {
  const asked = peerMode(spec);
  if (!asked || !PEER_LAYOUTS.includes(spec.layout)) return 'not in the PyTorch script';
  const args = [
    script,
    spec.layout,
    String(spec.size / 8),
    asked.mode,
    '--batch',
    String(asked.batch),
    '--reps',
    String(reps),
    '--threads',
    String(cpus().length),
  ];
  try {
    into.push(await runForJson<Timed>(python, args, child));
    return undefined;
  } catch (error) {
    child.signal.throwIfAborted();
    return `PyTorch: ${(error as Error).message}`;
  }
}

export function rowOf(
  c: Case,
  ours: readonly CaseResult[],
  theirs: readonly Timed[],
  noPeer: string | undefined,
): StepRow {
  const [ours_s, ours_mb] = [pooled(ours), peak(ours)],
    all = [...ours, ...theirs];
  const most = (of: (r: CaseResult) => number): number => Math.max(...ours.map(of));
  return {
    ...c,
    ours_s,
    spread_percent: Math.round(spreadPercent(ours)),
    ours_mb,
    ...(theirs.length > 0
      ? {
          peer_s: pooled(theirs),
          time_ratio: ours_s / pooled(theirs),
          peer_mb: peak(theirs),
          memory_ratio: ours_mb / peak(theirs),
        }
      : {}),
    private_mb: most((r) => r.private_mb),
    mapped_mb: most((r) => r.mapped_mb),
    session_s: median(ours.map((r) => r.session_s)),
    first_s: median(ours.map((r) => r.first_s)),
    foreign_cpu_percent: foreignPercent(all),
    busy: isBusy(all),
    ...(noPeer === undefined ? {} : { no_peer: noPeer }),
    runs: { ours, peer: theirs },
  };
}

export const stepColumns: readonly Column<StepRow>[] = [
  { head: 'layout', cell: (r) => r.layout },
  { head: 'px', cell: (r) => String(r.size) },
  { head: 'what', cell: (r) => r.mode },
  { head: 'batch', cell: (r) => String(r.batch) },
  { head: 'ours s', cell: (r) => figure(r.ours_s) },
  { head: 'PyTorch s', cell: (r) => figure(r.peer_s) },
  { head: 'ratio', cell: (r) => ratio(r.time_ratio) },
  { head: 'peak GB', cell: (r) => gigabytes(r.ours_mb) },
  { head: 'PyTorch GB', cell: (r) => gigabytes(r.peer_mb) },
  { head: 'ratio', cell: (r) => ratio(r.memory_ratio) },
  { head: 'private GB', cell: (r) => gigabytes(r.private_mb) },
  { head: 'session s', cell: (r) => figure(r.session_s) },
  { head: 'first s', cell: (r) => figure(r.first_s) },
  { head: 'spread %', cell: (r) => r.spread_percent?.toFixed(0) ?? '' },
  { head: 'foreign %', cell: (r) => r.foreign_cpu_percent?.toFixed(0) ?? '' },
  { head: '', cell: (r) => r.skipped ?? (r.busy ? 'busy' : '') },
];

export const stepNotes = (rows: readonly StepRow[]): string => barsText(stepBars(rows));

/** @returns undefined, with the reason on standard error, when there is no PyTorch */
export async function findPeer(peer: Peer, child: ChildOptions): Promise<Peer | undefined> {
  if (!existsSync(peer.script)) {
    process.stderr.write(`no PyTorch: ${peer.script} is not there (--peer); ours alone\n`);
    return undefined;
  }
  try {
    await runForJson(peer.python, ['-c', 'import json, torch; print(json.dumps(torch.__version__))'], child);
    return peer;
  } catch (error) {
    child.signal.throwIfAborted();
    process.stderr.write(`no PyTorch: ${(error as Error).message} (--python); ours alone\n`);
    return undefined;
  }
}
