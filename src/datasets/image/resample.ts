/**
 * PIL's image resampling, bit for bit, in 8-bit fixed point (the algorithm of Pillow's libImaging/Resample.c).
 * Antialiased: when shrinking, the filter widens with the scale. One pass along x, rounded to 8 bits, then one along y.
 */
import { image, type Image } from './picture.js';

export type Interpolation = 'nearest' | 'bilinear' | 'bicubic' | 'lanczos';

/** Weights are scaled by 2^22: 32 bits less 8 of pixel value less 2 of headroom for overshooting filters. */
const PRECISION_BITS = 32 - 8 - 2;

interface Filter {
  readonly support: number;
  readonly weight: (x: number) => number;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

const filters: Record<Exclude<Interpolation, 'nearest'>, Filter> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: cubic },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** Keys' cubic convolution with a = -0.5, as in PIL (OpenCV and torch use -0.75). */
function cubic(signed: number): number {
  const a = -0.5,
    x = Math.abs(signed);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/** For each output position: the first input position it reads, how many, and their fixed-point weights. */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
  readonly stride: number;
}

function taps(inSize: number, outSize: number, { support, weight }: Filter): Taps {
  const scale = inSize / outSize,
    filterScale = Math.max(scale, 1);
  const reach = support * filterScale,
    stride = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(outSize),
    count = new Int32Array(outSize),
    weights = new Int32Array(outSize * stride);
  const inverse = 1 / filterScale;
  for (let o = 0; o < outSize; o++) {
    const centre = (o + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - reach + 0.5));
    const n = Math.min(inSize, Math.trunc(centre + reach + 0.5)) - from;
    const exact = Array.from({ length: n }, (_, i) => weight((i + from - centre + 0.5) * inverse));
    const total = exact.reduce((sum, w) => sum + w, 0);
    first[o] = from;
    count[o] = n;
    exact.forEach((w, i) => {
      const fixed = (total === 0 ? w : w / total) * 2 ** PRECISION_BITS;
      weights[o * stride + i] = Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5));
    });
  }
  return { first, count, weights, stride };
}

/** Resizes to exactly [height, width]; the aspect ratio is the caller's business. */
export function resample(source: Image, height: number, width: number, interpolation: Interpolation): Image {
  const [inHeight, inWidth] = source.shape;
  if (inHeight === height && inWidth === width) return source;
  if (interpolation === 'nearest') return nearest(source, height, width);
  const filter = filters[interpolation];
  const across = inWidth === width ? source : alongX(source, width, taps(inWidth, width, filter));
  return inHeight === height ? across : alongY(across, height, taps(inHeight, height, filter));
}

const HALF = 1 << (PRECISION_BITS - 1);
const clip8 = (sum: number): number => {
  const v = sum >> PRECISION_BITS;
  return v < 0 ? 0 : v > 255 ? 255 : v;
};

function alongX(
  { data, shape: [height, inWidth] }: Image,
  width: number,
  { first, count, weights, stride }: Taps,
): Image {
  const out = new Uint8Array(height * width * 3);
  for (let y = 0, o = 0; y < height; y++) {
    for (let x = 0; x < width; x++, o += 3) {
      let r = HALF,
        g = HALF,
        b = HALF;
      for (let i = 0, p = (y * inWidth + first[x]) * 3, k = x * stride; i < count[x]; i++, p += 3, k++) {
        r += data[p] * weights[k];
        g += data[p + 1] * weights[k];
        b += data[p + 2] * weights[k];
      }
      out[o] = clip8(r);
      out[o + 1] = clip8(g);
      out[o + 2] = clip8(b);
    }
  }
  return image(out, height, width);
}

function alongY({ data, shape: [, width] }: Image, height: number, { first, count, weights, stride }: Taps): Image {
  const row = width * 3,
    out = new Uint8Array(height * row),
    sums = new Int32Array(row);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let i = 0; i < count[y]; i++) {
      const weight = weights[y * stride + i],
        from = (first[y] + i) * row;
      for (let x = 0; x < row; x++) sums[x] += data[from + x] * weight;
    }
    for (let x = 0; x < row; x++) out[y * row + x] = clip8(sums[x]);
  }
  return image(out, height, width);
}

/** PIL steps through the input by repeated addition in double precision; so do we, to round where it rounds. */
function nearest({ data, shape: [inHeight, inWidth] }: Image, height: number, width: number): Image {
  const columns = steps(inWidth, width),
    rows = steps(inHeight, height);
  const out = new Uint8Array(height * width * 3);
  let o = 0;
  for (const y of rows) {
    for (const x of columns) {
      const p = (y * inWidth + x) * 3;
      out[o++] = data[p];
      out[o++] = data[p + 1];
      out[o++] = data[p + 2];
    }
  }
  return image(out, height, width);
}

function steps(inSize: number, outSize: number): Int32Array {
  const scale = inSize / outSize,
    positions = new Int32Array(outSize);
  for (let o = 0, at = scale * 0.5; o < outSize; o++, at += scale) positions[o] = Math.min(inSize - 1, Math.trunc(at));
  return positions;
}
