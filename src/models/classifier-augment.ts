/**
 * Training pictures made a little worse, as pictures are that come out of a decoder: softened and noisy. A classifier that
 * has seen only clean renderings takes such traces for features.
 */
import type { RandomStream } from '../base/rng.js';

export interface Degradation {
  /** largest deviation of the noise, for values in [-1, 1] */
  readonly noise: number;
  /** share of pictures that are softened, 0 to 1 */
  readonly blur: number;
}

/**
 * A copy, softened by chance and noisy. How much is drawn per picture.
 * @param picture [3, H, W] @param stream of this picture in this iteration
 */
export function degrade(
  picture: Float32Array,
  [H, W]: readonly [number, number],
  { noise, blur }: Degradation,
  stream: RandomStream,
): Float32Array {
  let out = Float32Array.from(picture);
  if (stream.uniform() < blur) {
    const soft = stream.uniform() < 0.5 ? boxBlur(picture, H, W) : halveAndDouble(picture, H, W),
      share = stream.uniform();
    out = out.map((v, i) => v + share * (soft[i] - v));
  }
  if (noise > 0) {
    const deviation = noise * stream.uniform();
    for (let i = 0; i < out.length; i++) out[i] += deviation * stream.normal();
  }
  return out;
}

/** Means of 3x3 pixels; the rim is repeated. @param picture [C, H, W] */
export function boxBlur(picture: Float32Array, H: number, W: number): Float32Array {
  const across = new Float32Array(picture.length),
    out = new Float32Array(picture.length);
  for (let i = 0; i < picture.length; i++) {
    const x = i % W;
    across[i] = (picture[x > 0 ? i - 1 : i] + picture[i] + picture[x < W - 1 ? i + 1 : i]) / 3;
  }
  for (let i = 0; i < picture.length; i++) {
    const y = Math.floor(i / W) % H;
    out[i] = (across[y > 0 ? i - W : i] + across[i] + across[y < H - 1 ? i + W : i]) / 3;
  }
  return out;
}

/** Means of 2x2 pixels, and back by linear interpolation between their centres; the rim is repeated. @param picture [C, H, W] */
export function halveAndDouble(picture: Float32Array, H: number, W: number): Float32Array {
  return alongAxis(alongAxis(picture, W, 1), H, W);
}

/** One axis of it. @param length of the axis @param step between its elements */
function alongAxis(values: Float32Array, length: number, step: number): Float32Array {
  const out = new Float32Array(values.length),
    half = Math.ceil(length / 2),
    means = new Float32Array(half);
  for (let block = 0; block < values.length; block += length * step) {
    for (let start = block; start < block + step; start++) {
      for (let k = 0; k < half; k++)
        means[k] = (values[start + 2 * k * step] + values[start + Math.min(2 * k + 1, length - 1) * step]) / 2;
      for (let i = 0; i < length; i++) {
        const k = i >> 1,
          neighbour = Math.min(half - 1, Math.max(0, i % 2 === 0 ? k - 1 : k + 1));
        out[start + i * step] = 0.75 * means[k] + 0.25 * means[neighbour];
      }
    }
  }
  return out;
}
