/** RGB pictures as uint8 tensors. */
import type { HostTensor } from '../../tensor/host.js';

/** An RGB picture: uint8, shape [H, W, 3], row-major. */
export interface Image extends HostTensor {
  readonly dtype: 'uint8';
  readonly data: Uint8Array;
}

/** @param data H * W * 3 bytes, RGB interleaved */
export function image(data: Uint8Array, height: number, width: number): Image {
  if (data.length !== height * width * 3) {
    throw new RangeError(`image: ${data.length} bytes for ${width}x${height} RGB; it needs ${height * width * 3}`);
  }
  return { dtype: 'uint8', shape: [height, width, 3], data };
}

/** Checks that a tensor is a picture. @throws TypeError with the actual dtype and shape */
export function asImage(tensor: HostTensor): Image {
  const { dtype, shape, data } = tensor;
  if (dtype !== 'uint8' || shape.length !== 3 || shape[2] !== 3) {
    throw new TypeError(`expected a picture, uint8 [H, W, 3]; got ${dtype} [${shape}]`);
  }
  return image(data as Uint8Array, shape[0], shape[1]);
}
