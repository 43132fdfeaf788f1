/** Parts of a value that are put together without lying beside the whole. */
import type { Shape } from '../../tensor/host.js';
import type { Emitter } from '../../tensor/primitive.js';

/** Of ai.onnx, from this opset and version of the format on. ONNX Runtime's CPU kernel writes into its first operand, where nobody else reads it. */
export const WRITER = { op: 'TensorScatter', opset: 24, ir: 12 } as const;

export interface Part {
  /** where it begins along the middle axis of the whole */
  readonly from: number;
  /** name of a float32 value with the elements of [before, its size, after] */
  readonly value: string;
}

/**
 * Joins parts along the middle one of three axes. Concat would hold all parts and the whole at once; here each part is free as
 * soon as it is written. For ONNX Runtime's CPU provider.
 * @param parts in order, without gaps
 * @returns name of a value with the elements of the whole, of any shape
 */
export function joinInPlace(emit: Emitter, parts: readonly Part[], [before, size, after]: Shape): string {
  if (parts.length === 1) return parts[0].value;
  const one = (op: string, of: readonly string[], attrs?: Parameters<Emitter['node']>[3]): string =>
    emit.node(op, of, 1, attrs)[0];
  const shaped = parts.map(({ from, value }, i) =>
    one('Reshape', [value, emit.shape([1, before, (parts[i + 1]?.from ?? size) - from, after])]),
  );
  // Memory for the whole, of any content. Made of the first part, so that it is there no sooner than that; behind all parts,
  // since the runtime begins with the operand of the highest number and would else compute all parts before one is written.
  const corner = one('Slice', [shaped[0], emit.ints([0, 0, 0]), emit.ints([1, 1, 1]), emit.ints([1, 2, 3])]);
  const whole = one('Expand', [corner, emit.shape([1, before, size, after])]);
  emit.unlikeOthers(whole, [1, before, size, after]);
  return parts.reduce(
    (written, { from }, i) => one(WRITER.op, [written, shaped[i], emit.ints([from])], { axis: { i: -2 } }),
    whole,
  );
}
