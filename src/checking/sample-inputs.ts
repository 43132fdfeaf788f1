/** Deterministic values for a primitive's samples. */
import { Rng } from '../base/rng.js';
import { float32, int32, sizeOf, type HostTensor } from '../tensor/host.js';
import type { AnyPrimitive } from '../tensor/primitive.js';

type Sample = AnyPrimitive['samples'][number];

/** One value per input of the sample, drawn from its range, or whole numbers for index inputs. */
export function sampleInputs(op: string, sample: Sample, index: number): HostTensor[] {
  const [low, high] = sample.range ?? [-1, 1];
  return sample.shapes.map((shape, i) => {
    const draw = new Rng(index).stream(op, i);
    const limit = sample.indices?.[i];
    if (limit !== undefined)
      return int32(
        Int32Array.from({ length: sizeOf(shape) }, () => draw.int(0, limit)),
        shape,
      );
    return float32(
      Float32Array.from({ length: sizeOf(shape) }, () => low + (high - low) * draw.uniform()),
      shape,
    );
  });
}

/** Largest |a - b| over the largest |b|. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let worst = 0,
    top = 0;
  for (let i = 0; i < b.length; i++) {
    worst = Math.max(worst, Math.abs(a[i] - b[i]));
    top = Math.max(top, Math.abs(b[i]));
  }
  return worst / Math.max(top, 1e-30);
}
