/** The figures of one case: ours, and PyTorch's where it ran. */
import type { CaseResult } from './case.js';
import type { Case } from './cases.js';
import type { Timed } from './stats.js';

export interface StepRow extends Case {
  /** why there are no figures */
  readonly skipped?: string;
  readonly ours_s?: number;
  readonly peer_s?: number;
  readonly time_ratio?: number;
  readonly spread_percent?: number;
  readonly ours_mb?: number;
  readonly peer_mb?: number;
  readonly memory_ratio?: number;
  readonly private_mb?: number;
  readonly mapped_mb?: number;
  readonly session_s?: number;
  readonly first_s?: number;
  readonly foreign_cpu_percent?: number;
  readonly busy?: boolean;
  /** why the opponent has no figures */
  readonly no_peer?: string;
  readonly runs?: { readonly ours: readonly CaseResult[]; readonly peer: readonly Timed[] };
}
