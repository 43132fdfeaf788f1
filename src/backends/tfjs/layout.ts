/**
 * The order in which a tensor's elements lie in memory, apart from its shape. A row-major tensor of n elements is one
 * factor [n]; [B, C, H, W] with channels last is the factors [B, C, H*W] in the order 0, 2, 1. Reshaping never changes an
 * order, and transposing only renames the factors, so both are free until someone needs another order.
 */
import type { Shape } from '../../tensor/host.js';

export interface Layout {
  /** Sizes above 1 whose product is the number of elements, slowest first in row-major order. */
  readonly factors: readonly number[];
  /** order[p] is the factor that is p-th in memory, slowest first. */
  readonly order: readonly number[];
}

/** Layout of a tensor of this shape whose axes lie in memory in the order `axes`; default row-major. */
export function ordered(shape: Shape, axes: readonly number[] = shape.map((_, i) => i)): Layout {
  return canonical(shape, axes);
}

/** One name for each order: without factors of 1, and with neighbours that are neighbours in memory, too, as one. */
function canonical(factors: readonly number[], order: readonly number[]): Layout {
  const runs: number[][] = []; // in memory order
  for (const f of order.filter((i) => factors[i] > 1)) {
    const run = runs.at(-1);
    if (run && follows(factors, run[run.length - 1], f)) run.push(f);
    else runs.push([f]);
  }
  const sorted = [...runs].sort((a, b) => a[0] - b[0]);
  return {
    factors: sorted.map((run) => run.reduce((n, f) => n * factors[f], 1)),
    order: runs.map((run) => sorted.indexOf(run)),
  };
}

/** Whether only factors of 1 are between a and b. */
const follows = (factors: readonly number[], a: number, b: number): boolean =>
  b > a && factors.slice(a + 1, b).every((n) => n === 1);

export const isPlain = ({ factors }: Layout): boolean => factors.length <= 1;
export const sameLayout = (a: Layout, b: Layout): boolean => same(a.factors, b.factors) && same(a.order, b.order);
const same = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((v, i) => v === b[i]);

/** A layout cut so finely that each factor lies within one axis of a shape. */
export interface Cut {
  readonly factors: readonly number[];
  readonly order: readonly number[];
  /** the axis of each factor */
  readonly axis: readonly number[];
}

/** @returns undefined when an axis begins in the middle of a factor that cannot be cut there */
export function cut(layout: Layout, shape: Shape): Cut | undefined {
  const sizes = [...layout.factors],
    pieces = sizes.map((): number[] => []),
    axis: number[] = [];
  let f = 0;
  for (const [a, size] of shape.entries()) {
    for (let left = size; left > 1;) {
      while (sizes[f] === 1) f++;
      const piece = Math.min(left, sizes[f]);
      if (left % piece !== 0 || sizes[f] % piece !== 0) return undefined;
      pieces[f].push(piece);
      axis.push(a);
      sizes[f] /= piece;
      left /= piece;
    }
  }
  const starts = pieces.map((_, i) => pieces.slice(0, i).reduce((n, p) => n + p.length, 0));
  return { factors: pieces.flat(), order: layout.order.flatMap((i) => pieces[i].map((_, k) => starts[i] + k)), axis };
}

/** The part of a cut on some of its factors. */
export function restrict({ factors, order }: Cut, keep: (factor: number) => boolean): Layout {
  return canonical(
    factors.map((n, i) => (keep(i) ? n : 1)),
    order,
  );
}

/** The layout after axes were transposed: the same memory under other names. */
export function transposed(layout: Layout, shape: Shape, perm: readonly number[]): Layout | undefined {
  const c = cut(layout, shape);
  if (!c) return undefined;
  const renamed = perm.flatMap((a) => c.axis.flatMap((axis, f) => (axis === a ? [f] : [])));
  return canonical(
    renamed.map((f) => c.factors[f]),
    c.order.map((f) => renamed.indexOf(f)),
  );
}

/** The order of whole axes in memory, when the layout is one; axes of 1 come first. */
export function axisOrder(layout: Layout, shape: Shape): number[] | undefined {
  const c = cut(layout, shape);
  if (!c) return undefined;
  const axes = c.order.map((f) => c.axis[f]).filter((a, i, all) => a !== all[i - 1]);
  if (new Set(axes).size !== axes.length || !sameLayout(ordered(shape, [...axes]), layout)) return undefined;
  return [...shape.flatMap((n, a) => (n === 1 ? [a] : [])), ...axes];
}

/**
 * How to bring memory from one order to another: seen as `shape`, transposed by `perm`.
 * @returns undefined when there is no common cut, and it takes two steps by way of row-major
 */
export function conversion(from: Layout, to: Layout): { shape: number[]; perm: number[] } | undefined {
  const fine = cut(from, to.factors);
  if (!fine) return undefined;
  const target = cut(to, fine.factors);
  if (!target || target.factors.length !== fine.factors.length) return undefined;
  return { shape: fine.order.map((f) => fine.factors[f]), perm: target.order.map((f) => fine.order.indexOf(f)) };
}

/** Neighbours in memory that are alike are seen as one axis. @returns sizes, and of each what its factors are alike in */
export function grouped<K>(c: Cut, kind: (factor: number) => K): { sizes: number[]; kinds: K[] } {
  const sizes: number[] = [],
    kinds: K[] = [];
  for (const f of c.order) {
    if (kinds.length > 0 && kinds[kinds.length - 1] === kind(f)) sizes[sizes.length - 1] *= c.factors[f];
    else {
      sizes.push(c.factors[f]);
      kinds.push(kind(f));
    }
  }
  return { sizes, kinds };
}

/** Pictures [B, C, H, W] as [B, H, W, C] in memory, filters [O, C, kh, kw] as [kh, kw, C, O]. */
export const PICTURE = [0, 2, 3, 1];
export const FILTER = [2, 3, 1, 0];
