/**
 * Numbers of [-1, 1] in 8 bits with a step that grows with their size, by blocks with a scale each: Dettmers et al., "8-bit
 * optimizers via block-wise quantization", arXiv 2110.02861; the maps, and which code is nearest, as in bitsandbytes 0.50.
 */
import { float32, sizeOf } from '../../tensor/host.js';
import {
  abs,
  add,
  cast,
  div,
  gatherRows,
  lessOrEqual,
  maximum,
  maxLast,
  minimum,
  mul,
  reshape,
  sign,
  sqrt,
  sub,
} from '../../tensor/ops.js';
import { constant, type Tensor } from '../../tensor/tensor.js';

/** Values that share a scale. */
export const BLOCK = 256;
const DECADES = 7,
  NON_SIGN_BITS = 7;
/** A block of smaller values is all zeros. */
const NOTHING = 1e-38;
/** Cells of the fourth root of a size: fine enough that each has one border between codes at most. */
const CELLS = 2048;
/** How far, in cells, rounding may move a value. */
const SLACK = 0.01;

/** The value of each code, ascending. @param signed for the first moment; the second is never negative */
export function dynamicMap(signed: boolean): Float32Array {
  const values = [0, 1];
  for (let i = 0; i < DECADES; i++) {
    const steps = 2 ** (i + NON_SIGN_BITS - DECADES + (signed ? 0 : 1)),
      edges = linspace(Math.fround(0.1), 1, steps + 1),
      scale = Math.fround(10 ** (i - DECADES + 1));
    for (let k = 0; k < steps; k++) {
      const mean = Math.fround(Math.fround(edges[k] + edges[k + 1]) / 2),
        value = Math.fround(scale * mean);
      values.push(value, ...(signed ? [-value] : []));
    }
  }
  return Float32Array.from(values).sort();
}

/** torch.linspace in float32: from both ends to the middle, products not rounded. */
function linspace(start: number, end: number, count: number): Float32Array {
  const step = Math.fround((end - start) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) =>
    i < count / 2 ? start + step * i : end - step * (count - 1 - i),
  );
}

/** A block-wise state of a vector whose length is a multiple of 256. */
export interface Blocks {
  /** uint8 [n] */
  readonly codes: Tensor;
  /** float32 [n / 256]: the largest size in each block */
  readonly absmax: Tensor;
}

export class DynamicMap {
  private readonly origin: number;
  private readonly values: Tensor;
  /** by cell: the least code there, and what is above the border belongs to the next one */
  private readonly least: Tensor;
  private readonly border: Tensor;

  constructor(private readonly signed: boolean) {
    const map = dynamicMap(signed),
      borders = Array.from(map.subarray(1), (value, i) => Math.fround(Math.fround(map[i] + value) / 2));
    this.origin = signed ? CELLS : 0;
    const least: number[] = [],
      border: number[] = [];
    for (let cell = 0; cell <= this.origin + CELLS; cell++) {
      const [low, high] = [cell - SLACK, cell + 1 + SLACK].map((at) => power((at - this.origin) / CELLS));
      const below = borders.filter((value) => value < low).length,
        inside = borders.filter((value) => value >= low && value <= high);
      if (inside.length > 1) throw new Error(`dynamic map: ${inside.length} borders in cell ${cell}`);
      least.push(below);
      border.push(inside[0] ?? 2);
    }
    [this.values, this.least, this.border] = [map, least, border].map((of) =>
      constant(float32(Float32Array.from(of), [of.length, 1])),
    );
  }

  /** float32 [n] */
  unpack({ codes, absmax }: Blocks): Tensor {
    const blocks = [sizeOf(codes.shape) / BLOCK, BLOCK];
    const values = look(this.values, reshape(cast(codes, 'int32'), blocks));
    return reshape(mul(values, reshape(absmax, [blocks[0], 1])), codes.shape);
  }

  /** @param x float32 [n] */
  pack(x: Tensor): Blocks {
    const [n] = x.shape,
      blocks = reshape(x, [n / BLOCK, BLOCK]);
    const absmax = maxLast(abs(blocks)),
      scaled = mul(blocks, div(1, maximum(absmax, NOTHING)));
    const root = sqrt(sqrt(abs(scaled))),
      at = add(mul(this.signed ? mul(sign(scaled), root) : root, CELLS), this.origin);
    // What is no number becomes some number here; the run ends by its loss.
    const cell = minimum(maximum(cast(at, 'int32'), whole(0)), whole(this.origin + CELLS));
    const code = sub(add(look(this.least, cell), 1), lessOrEqual(scaled, look(this.border, cell)));
    return { codes: reshape(cast(code, 'uint8'), [n]), absmax: reshape(absmax, [n / BLOCK]) };
  }
}

const power = (u: number): number => Math.sign(u) * u ** 4;
const whole = (value: number): Tensor => constant({ dtype: 'int32', shape: [], data: Int32Array.of(value) });
/** The number of a table at each index, in the shape of the indices. */
const look = (table: Tensor, at: Tensor): Tensor => reshape(gatherRows(table, at), at.shape);
