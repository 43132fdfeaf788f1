/** What a decoder gives, as a picture. */
import { float32, floats, type HostTensor } from '../tensor/host.js';

/** [3, H, W] from about [-1, 1] to 0..1, clamped. */
export const unitRange = (image: HostTensor): HostTensor =>
  float32(
    floats(image).map((v) => Math.min(1, Math.max(0, v / 2 + 0.5))),
    image.shape,
  );

/** [3, H, W] in 0..1 to uint8 [H, W, 3], rounded as diffusers' image processor. */
export function toPixels(image: HostTensor): HostTensor {
  const [, H, W] = image.shape,
    values = floats(image),
    plane = H * W;
  const data = new Uint8Array(plane * 3);
  for (let p = 0; p < plane; p++) for (let c = 0; c < 3; c++) data[p * 3 + c] = Math.round(values[c * plane + p] * 255);
  return { dtype: 'uint8', shape: [H, W, 3], data };
}
