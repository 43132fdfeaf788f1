/** Views of one picture for training without labels: two of most of it, several of small parts (Caron et al., arXiv 2006.09882, multi-crop). */
import type { RandomStream } from '../base/rng.js';
import { image, type Image } from '../datasets/image/picture.js';
import { resample } from '../datasets/image/resample.js';
import { crop } from '../datasets/transforms/crop.js';
import { floats, type HostTensor } from '../tensor/host.js';
import { boxBlur } from './classifier-augment.js';

export interface MultiCropOptions {
  /** smallest and largest share of the picture's area that a global view shows */
  readonly global_scale: readonly number[];
  readonly local_scale: readonly number[];
  /** number of local views, and the side of each in pixels */
  readonly local_number: number;
  readonly local_size: number;
  /** share of views that are mirrored */
  readonly flip: number;
  /** largest change of brightness, contrast and saturation, as a share */
  readonly jitter: number;
  /** share of views that lose their colours */
  readonly grayscale: number;
  /** share of views that are softened */
  readonly blur: number;
}

export interface Views {
  /** two of [3, side, side], values in [-1, 1] */
  readonly globals: readonly Float32Array[];
  /** `local_number` of [3, local_size, local_size] */
  readonly locals: readonly Float32Array[];
}

const GLOBALS = 2;

/**
 * @param pictures of one thing, each float32 [3, H, W] in [-1, 1]; view k of either kind is a part of picture k modulo their number
 * @param side of the global views, pixels @param stream of this thing in this iteration
 */
export function multiCrop(
  pictures: readonly HostTensor[],
  side: number,
  options: MultiCropOptions,
  stream: RandomStream,
): Views {
  const sources = pictures.map((picture) => toBytes(floats(picture), picture.shape[1], picture.shape[2]));
  const views = (count: number, scale: readonly number[], size: number): Float32Array[] =>
    Array.from({ length: count }, (_, k) => view(sources[k % sources.length], scale, size, options, stream));
  return {
    globals: views(GLOBALS, options.global_scale, side),
    locals: views(options.local_number, options.local_scale, options.local_size),
  };
}

function view(
  source: Image,
  scale: readonly number[],
  size: number,
  { flip, jitter, grayscale, blur }: MultiCropOptions,
  stream: RandomStream,
): Float32Array {
  const [top, left, height, width] = pieceOf(source.shape[0], source.shape[1], scale, stream);
  const pixels = toPlanes(resample(crop(source, top, left, height, width), size, size, 'bicubic'));
  const mirrored = stream.uniform() < flip ? mirror(pixels, size) : pixels;
  const painted = repaint(mirrored, jitter, stream.uniform() < grayscale, stream);
  return stream.uniform() < blur ? boxBlur(painted, size, size) : painted;
}

/** Tries before the middle is taken: torchvision's RandomResizedCrop.get_params, as are the aspect ratios. */
const TRIES = 10;
const RATIO = Math.log(4 / 3);

/** @returns top, left, height, width */
export function pieceOf(
  H: number,
  W: number,
  [least, most]: readonly number[],
  stream: RandomStream,
): readonly [number, number, number, number] {
  for (let i = 0; i < TRIES; i++) {
    const area = H * W * (least + (most - least) * stream.uniform()),
      ratio = Math.exp(RATIO * (2 * stream.uniform() - 1));
    const width = Math.round(Math.sqrt(area * ratio)),
      height = Math.round(Math.sqrt(area / ratio));
    if (width < 1 || height < 1 || width > W || height > H) continue;
    return [stream.int(0, H - height + 1), stream.int(0, W - width + 1), height, width];
  }
  const side = Math.min(H, W);
  return [Math.floor((H - side) / 2), Math.floor((W - side) / 2), side, side];
}

function mirror(pixels: Float32Array, size: number): Float32Array {
  return pixels.map((_, i) => pixels[i - (i % size) + size - 1 - (i % size)]);
}

/** Luma of ITU-R 601-2, as PIL's convert("L"). */
const LUMA = [0.299, 0.587, 0.114];

/** Brightness, contrast and saturation as torchvision's ColorJitter, in this order; values in [-1, 1]. */
function repaint(pixels: Float32Array, jitter: number, grey: boolean, stream: RandomStream): Float32Array {
  const n = pixels.length / 3,
    factor = (): number => 1 + jitter * (2 * stream.uniform() - 1);
  const [brightness, contrast] = [factor(), factor()],
    saturation = grey ? 0 : factor();
  const unit = (v: number): number => Math.min(1, Math.max(0, v));
  const values = pixels.map((v) => unit(((v + 1) / 2) * brightness));
  const greyAt = (i: number): number => LUMA.reduce((sum, share, c) => sum + share * values[c * n + i], 0);
  let middle = 0;
  for (let i = 0; i < n; i++) middle += greyAt(i) / n;
  values.forEach((v, i) => (values[i] = unit(middle + contrast * (v - middle))));
  for (let i = 0; i < n; i++) {
    const luma = greyAt(i);
    for (let c = 0; c < 3; c++) values[c * n + i] = 2 * unit(luma + saturation * (values[c * n + i] - luma)) - 1;
  }
  return values;
}

function toBytes(planes: Float32Array, H: number, W: number): Image {
  const n = H * W;
  return image(
    Uint8Array.from({ length: 3 * n }, (_, i) =>
      Math.min(255, Math.max(0, Math.round((planes[(i % 3) * n + Math.floor(i / 3)] + 1) * 127.5))),
    ),
    H,
    W,
  );
}

function toPlanes({ data, shape: [H, W] }: Image): Float32Array {
  const n = H * W;
  return Float32Array.from({ length: 3 * n }, (_, i) => data[3 * (i % n) + Math.floor(i / n)] / 127.5 - 1);
}
