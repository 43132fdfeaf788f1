/** Numbers, times and states in words, as page and report show them. */
import type { RunState, Score } from '../../src/runs/run-view.js';

/** "0.0961", "2.00e-3", "1,234" */
export function number(value: number | undefined | null): string {
  if (value === undefined || value === null) return '–';
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.01 || size >= 1e6)) return value.toExponential(2);
  if (Number.isInteger(value)) return value.toLocaleString('en');
  return value.toPrecision(4);
}

/** "39.4 s", "2 min 05 s", "1 h 02 min" @param seconds not negative */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(seconds < 0.1 ? 2 : 1)} s`;
  const whole = Math.round(seconds),
    pad = (n: number): string => String(n).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}

/** "just now", "5 min ago", "3 days ago" @param time @param now seconds since 1970 */
export function ago(time: number, now: number): string {
  const passed = Math.max(0, now - time);
  for (const [unit, size] of [
    ['day', 86_400],
    ['h', 3600],
    ['min', 60],
  ] as const) {
    const count = Math.floor(passed / size);
    if (count >= 1) return `${count} ${unit}${unit === 'day' && count > 1 ? 's' : ''} ago`;
  }
  return 'just now';
}

/** "28 Nov 2026, 22:24" @param seconds since 1970 */
export const date = (seconds: number): string =>
  new Date(seconds * 1000).toLocaleString('en-GB', {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
  });

/** @param iter 0-based; -1 is before training */
export const moment = (iter: number): string => (iter < 0 ? 'before training' : `after iteration ${iter}`);

export const STATE: Readonly<Record<RunState, string>> = {
  running: 'running',
  done: 'done',
  stopped: 'stopped',
  failed: 'ended early',
};

/** "0.612 ± 0.014" */
export const scoreValue = ({ value, halfWidth }: Pick<Score, 'value' | 'halfWidth'>): string =>
  halfWidth === undefined || halfWidth === null ? value.toFixed(3) : `${value.toFixed(3)} ± ${halfWidth.toFixed(3)}`;

const SCALARS: Readonly<Record<string, string>> = {
  loss: 'Loss',
  lr: 'Learning rate',
  grad_norm: 'Gradient norm',
  loss_scale: 'Loss scale',
  'time/iter_s': 'Seconds per iteration',
  'memory/rss_gib': 'Memory (GiB)',
};

/** What a scalar is called in the choice of curves. */
export const scalarName = (name: string): string => SCALARS[name] ?? name;

const SCORES: Readonly<Record<string, string>> = {
  'CLIP-I': 'likeness: cosine of generated and training pictures',
  'CLIP-T': 'obedience: cosine of picture and prompt',
  'CLIP-IT': 'balance of the two',
};

/** What a metric says, for those who do not know its name. */
export const scoreMeaning = (name: string): string => SCORES[name] ?? '';
