/**
 * 3x3 convolutions, and their gradients with respect to the input, by minimal filtering (Winograd; Lavin and Gray, arXiv
 * 1509.09308): products of transformed tiles, a half to a third of the multiply-adds. Made of operators whose work is small beside
 * the products': the tiles are transformed by a strided convolution with a fixed kernel, products read them where they lie, and
 * DepthToSpace lays the tiles of the result out. Weights are transformed as the program runs: kept, they would take 1.8 to 4
 * times the memory of the file that is mapped. docs/performance.md has the measurements.
 */
import { sizeOf, type Shape } from '../../tensor/host.js';
import { MICROSOFT, primitive, type EmitIo, type Emitter } from '../../tensor/primitive.js';
import type { Attrs } from '../../tensor/tensor.js';
import type { Lowering } from './emit.js';
import { joinInPlace } from './join-in-place.js';

/** Transforms of tiles of m x m results, flat over both axes. */
interface Tiles {
  /** side of a tile of the result */
  readonly m: number;
  /** products per tile: (m + 2)^2 */
  readonly k: number;
  /** weights: [k, 9] */
  readonly G: readonly number[];
  /** pictures: [k, 1, m + 2, m + 2] */
  readonly B: readonly number[];
  /** results: [m * m, k] */
  readonly A: readonly number[];
}

/**
 * Of F(4x4), these points round least among those that were tried: 1.4e-6 of the result (root mean square), where 0, 1, -1, 2, -2
 * give 3.3e-6, F(2x2) and a plain convolution 0.4e-6. Points beside 1 as in Barabasz et al., arXiv 1803.10986.
 */
const F2 = tiles(2, [0, 1, -1]),
  F4 = tiles(4, [0, 0.625, -0.625, 1.5, -1.5]);

/** What moving one element costs, in multiply-adds: into a tile, out of a product, of a transformed weight. */
const MOVES = { into: 65, out: 50, weight: 30 };

/** Where it begins, and how large its parts are. */
export interface TilingLimits {
  /** multiply-adds below which the time goes into starting operators */
  readonly smallest: number;
  /** the largest share of the plain convolution's time that is worth it */
  readonly worth: number;
  /** elements of tiles and products that are held at once: what stays in a last-level cache */
  readonly tileElements: number;
  /** the same of transformed weights */
  readonly weightElements: number;
  /** Of samples with fewer tiles than this several are taken together: products with few columns wait for the weights. */
  readonly fewTiles: number;
}

const USUAL: TilingLimits = {
  smallest: 2 ** 27,
  worth: 0.8,
  tileElements: 2 ** 23,
  weightElements: 2 ** 22,
  fewTiles: 128,
};

type Io = EmitIo<Attrs>;
type Rule = (emit: Emitter, io: Io) => void;

/** For ONNX Runtime's CPU provider. */
export const winograd = (limits: TilingLimits = USUAL): Lowering => ({
  conv2d: (emit, io) => lower('conv2d', emit, io, limits),
  convTranspose2d: (emit, io) => lower('convTranspose2d', emit, io, limits),
});

function lower(name: 'conv2d' | 'convTranspose2d', emit: Emitter, io: Io, limits: TilingLimits): void {
  const form = tilesFor(io, limits);
  if (form) emitTiled(emit, io, form, name === 'convTranspose2d', limits);
  else (primitive(name).onnx as Rule)(emit, io);
}

/** @returns undefined where the plain operator is as good, or the only one that fits */
function tilesFor(
  { attrs, inTypes: [x, w], outTypes: [y] }: Pick<Io, 'attrs' | 'inTypes' | 'outTypes'>,
  { smallest, worth }: TilingLimits,
): Tiles | undefined {
  const [, , kh, kw] = w.shape,
    [B, , H, W] = y.shape;
  const fits =
    x.dtype === 'float32' &&
    kh === 3 &&
    kw === 3 &&
    attrs['stride'] === 1 &&
    (attrs['pads'] as number[]).every((p) => p === 1);
  const plain = (sizeOf(y.shape) / y.shape[1]) * sizeOf(w.shape);
  if (!fits || plain < smallest) return undefined;
  const cost = ({ m, k }: Tiles): number => {
    const count = (B * H * W) / m ** 2;
    return (
      k *
      (count * (sizeOf(w.shape) / 9 + MOVES.into * x.shape[1] + MOVES.out * y.shape[1]) +
        (MOVES.weight * sizeOf(w.shape)) / 9)
    );
  };
  const [best] = [F2, F4].filter(({ m }) => H % m === 0 && W % m === 0).sort((a, b) => cost(a) - cost(b));
  return best && cost(best) <= worth * plain ? best : undefined;
}

/** @param turned the gradient with respect to the input: taps reversed, channels exchanged */
function emitTiled(
  emit: Emitter,
  { inputs: [x, w, bias], outputs, inTypes: [{ shape: xShape }, { shape: wShape }], outTypes: [{ shape: yShape }] }: Io,
  { m, k, G, B, A }: Tiles,
  turned: boolean,
  limits: TilingLimits,
): void {
  const one = (op: string, of: readonly string[], attrs?: Parameters<Emitter['node']>[3], domain?: string): string =>
    emit.node(op, of, 1, attrs, domain)[0];
  const as = (value: string, ...shape: number[]): string => one('Reshape', [value, emit.shape(shape)]);
  const cut = (value: string, axis: number, { from, to }: Range, size: number): string =>
    to - from === size ? value : one('Slice', [value, emit.ints([from]), emit.ints([to]), emit.ints([axis])]);
  const turn = (value: string, ...perm: number[]): string => one('Transpose', [value], { perm: { ints: perm } });

  const [N, C, H, W] = xShape,
    O = yShape[1],
    columns = W / m,
    kernel = emit.floats(B, [k, 1, m + 2, m + 2]),
    back = emit.floats(A, [m * m, k]),
    weigh = emit.floats(turned ? reversedRows(G) : G, [k, 9]);
  const flat = as(w, wShape[0], wShape[1], 9);
  const { channels, rows: allRows, samples: allSamples } = partsOf(xShape, O, { m, k }, limits);
  /**
   * [o, k, C] of some channels of the result. They come before the pictures: the runtime begins with the operand of the highest
   * number, and would else transform the weights of all convolutions before the first of them is computed.
   */
  const weights = channels.map((part) => {
    const piece = cut(flat, turned ? 1 : 0, part, O),
      by = turned ? one('Expand', [weigh, emit.shape([part.to - part.from, k, 9])]) : weigh;
    return one('FusedMatMul', [by, piece], { transB: { i: 1 }, transBatchB: { i: Number(turned) } }, MICROSOFT);
  });

  /** Rows of tiles of n samples. */
  const strip = (samples: Range, rows: Range): string => {
    const n = samples.to - samples.from,
      height = rows.to - rows.from,
      first = rows.from === 0,
      last = rows.to === H / m;
    const seen = { from: first ? 0 : rows.from * m - 1, to: last ? H : rows.to * m + 1 };
    const part = cut(cut(x, 0, samples, N), 2, seen, H);
    const pictures = as(n === 1 ? part : turn(part, 1, 0, 2, 3), C * n, 1, seen.to - seen.from, W);
    const tiled = one('Conv', [pictures, kernel], {
      strides: { ints: [m, m] },
      pads: { ints: [Number(first), 1, Number(last), 1] },
    });
    const count = height * columns;
    const V = n === 1 ? as(tiled, C, k, count) : as(turn(as(tiled, C, n, k, count), 0, 2, 1, 3), C, k, n * count);
    const parts = channels.map((channel, i) => {
      const o = channel.to - channel.from;
      const batches = { transBatchA: { i: 1 }, transBatchB: { i: 1 } };
      const products = as(one('FusedMatMul', [weights[i], V], batches, MICROSOFT), k, o * n * count);
      const results = one('MatMul', [back, products]);
      const sorted = n === 1 ? results : turn(as(results, m * m, o, n, count), 2, 0, 1, 3);
      return one('DepthToSpace', [as(sorted, n, m * m * o, height, columns)], {
        blocksize: { i: m },
        mode: { s: 'DCR' },
      });
    });
    const sum = parts.length === 1 ? parts[0] : one('Concat', parts, { axis: { i: 1 } });
    return bias === undefined ? sum : one('Add', [sum, as(bias, O, 1, 1)]); // while the part is in the cache
  };

  const pictures = allSamples.map((samples) => ({
    from: samples.from,
    value: joinInPlace(
      emit,
      allRows.map((rows) => ({ from: m * rows.from, value: strip(samples, rows) })),
      [(samples.to - samples.from) * O, H, W],
    ),
  }));
  const y = joinInPlace(emit, pictures, [1, N, O * H * W]);
  emit.node('Reshape', [y, emit.shape(yShape)], outputs); // a name, no copy
}

/** How the work is cut: channels of the result, rows of tiles, samples. */
function partsOf(
  [N, C, H, W]: Shape,
  O: number,
  { m, k }: Pick<Tiles, 'm' | 'k'>,
  { tileElements, weightElements, fewTiles }: TilingLimits,
): Readonly<Record<'channels' | 'rows' | 'samples', readonly Range[]>> {
  const channels = ranges(O, weightElements / (k * C)),
    perRow = k * (W / m) * (C + channels[0].to),
    few = (H / m) * (W / m) < fewTiles;
  return {
    channels,
    rows: ranges(H / m, tileElements / perRow),
    samples: ranges(N, few ? Math.max(1, (tileElements * m) / (perRow * H)) : 1),
  };
}

/** What one convolution holds beside its operands and its result, in bytes; undefined where it is not computed by tiles. */
export function tiledBytes(io: Pick<Io, 'attrs' | 'inTypes' | 'outTypes'>, limits = USUAL): number | undefined {
  const form = tilesFor(io, limits);
  if (!form) return undefined;
  const [{ shape: x }] = io.inTypes,
    [{ shape: y }] = io.outTypes,
    { channels, rows, samples } = partsOf(x, y[1], form, limits),
    part = channels[0].to;
  const tiles = (samples[0].to * rows[0].to * x[3]) / form.m;
  const parts = rows.length * samples.length; // if several, one of them lies beside the whole until it is written there
  return 4 * (form.k * (tiles * (x[1] + part) + part * x[1]) + (parts > 1 ? sizeOf(y) / parts : 0));
}

interface Range {
  readonly from: number;
  readonly to: number;
}

/** Equal parts of at most `size`, the last one shorter. */
function ranges(total: number, size: number): Range[] {
  const count = Math.ceil(total / Math.max(1, Math.floor(size))),
    step = Math.ceil(total / count);
  return Array.from({ length: Math.ceil(total / step) }, (_, i) => ({
    from: i * step,
    to: Math.min(total, (i + 1) * step),
  }));
}

const reversedRows = (G: readonly number[]): number[] => G.map((_, i) => G[i - (i % 9) + 8 - (i % 9)]);

/** Transforms from points (and infinity) by Toom and Cook: values of the polynomials there, and the way back. */
function tiles(m: number, points: readonly number[]): Tiles {
  const n = m + 2;
  const values = (terms: number): number[][] => [
    ...points.map((p) => Array.from({ length: terms }, (_, i) => p ** i)),
    Array.from({ length: terms }, (_, i) => Number(i === terms - 1)),
  ];
  const product = (roots: readonly number[]): number[] =>
    roots.reduce<number[]>((poly, root) => [0, ...poly].map((c, i) => c - root * (poly[i] ?? 0)), [1]);
  const basis = [
    ...points.map((p) => {
      const others = points.filter((q) => q !== p),
        scale = others.reduce((s, q) => s * (p - q), 1);
      return [...product(others).map((c) => c / scale), 0];
    }),
    product(points),
  ];
  const norm = (row: readonly number[]): number => Math.hypot(...row);
  // What a row of the one gets, the other loses, in powers of two: nothing rounds, and neither overflows a sum.
  const even = values(3).map((row, i) => 2 ** Math.round(Math.log2(norm(row) / norm(basis[i]))));
  const G = values(3).map((row, i) => row.map((v) => v / even[i])),
    B = basis.map((row, i) => row.map((v) => v * even[i])),
    A = values(m);
  const both = (M: readonly (readonly number[])[]): number[] =>
    M.flatMap((a) => M.flatMap((b) => a.flatMap((u) => b.map((v) => u * v))));
  const transposed = Array.from({ length: m }, (_, i) => A.map((row) => row[i]));
  return { m, k: n * n, G: both(G), B: both(B), A: both(transposed) };
}
