/** Curves of a run in memory, filled row by row. */
import { Smoothed } from '../engine/smoothed.js';
import type { RowSink, Row } from './json-lines.js';
import type { Scalars } from './run-view.js';

interface Curve {
  readonly iter: number[];
  readonly value: number[];
}

export class Curves implements RowSink {
  private readonly curves = new Map<string, Curve>();
  private smoothed = new Smoothed();

  /** @param key of a row's iteration @param smooths whether a curve `loss_smooth` is derived */
  constructor(
    private readonly key: 'iter' | 'step',
    private readonly smooths: boolean,
  ) {}

  restart(): void {
    this.curves.clear();
    this.smoothed = new Smoothed();
  }

  add(row: Row): void {
    const iter = row[this.key];
    if (typeof iter !== 'number') return;
    for (const [name, value] of Object.entries(row)) {
      if (name === this.key || typeof value !== 'number') continue; // null stands for a value that was no number
      const plain = name.replace(/^train\//, '');
      this.put(plain, iter, value);
      if (this.smooths && plain === 'loss') this.put('loss_smooth', iter, this.smoothed.add(value));
    }
  }

  /** @param from 0-based iteration @returns the points of that and later ones */
  since(from: number): Scalars {
    return Object.fromEntries(
      [...this.curves].flatMap(([name, { iter, value }]) => {
        const start = firstFrom(iter, from);
        return start < iter.length ? [[name, { iter: iter.slice(start), value: value.slice(start) }]] : [];
      }),
    );
  }

  private put(name: string, iter: number, value: number): void {
    let curve = this.curves.get(name);
    if (!curve) this.curves.set(name, (curve = { iter: [], value: [] }));
    if (iter <= (curve.iter.at(-1) ?? -Infinity)) {
      // it was done again
      const start = firstFrom(curve.iter, iter);
      curve.iter.length = start;
      curve.value.length = start;
    }
    curve.iter.push(iter);
    curve.value.push(value);
  }
}

/** @param sorted ascending @returns the first place whose value is not below `from` */
function firstFrom(sorted: readonly number[], from: number): number {
  let low = 0,
    high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < from) low = middle + 1;
    else high = middle;
  }
  return low;
}
