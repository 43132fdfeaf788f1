import type { Shape } from './host.js';
import { sizeOf } from './host.js';
import { check, shapeText } from './primitive.js';

/** NumPy broadcasting of two shapes. @throws RangeError naming both */
export function broadcastShapes(a: Shape, b: Shape, op: string): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1,
      y = b[i - rank + b.length] ?? 1;
    check(
      x === y || x === 1 || y === 1,
      op,
      () => `shapes ${shapeText(a)} and ${shapeText(b)} do not broadcast; sizes must be equal or 1`,
    );
    return x === 1 ? y : x;
  });
}

/** Row-major strides; 0 where the size is 1 and the target's is not. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = strides(shape);
  return target.map((_, i) => {
    const j = i - target.length + shape.length;
    return j < 0 || shape[j] === 1 ? 0 : own[j];
  });
}

export function strides(shape: Shape): number[] {
  const out = new Array<number>(shape.length);
  for (let i = shape.length - 1, step = 1; i >= 0; step *= shape[i--]) out[i] = step;
  return out;
}

/** Calls `visit(flat, offset)` for every element of `shape`, `offset` following `steps` per dimension from `start`. */
export function walk(
  shape: Shape,
  steps: readonly number[],
  visit: (flat: number, offset: number) => void,
  start = 0,
): void {
  const total = sizeOf(shape),
    rank = shape.length;
  const index = new Array<number>(rank).fill(0);
  let offset = start;
  for (let flat = 0; flat < total; flat++) {
    visit(flat, offset);
    for (let d = rank - 1; d >= 0; d--) {
      offset += steps[d];
      if (++index[d] < shape[d]) break;
      offset -= steps[d] * shape[d];
      index[d] = 0;
    }
  }
}
