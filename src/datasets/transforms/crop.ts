import { image, type Image } from '../image/picture-file.js';

/** Cuts out [height, width] at (top, left); what lies outside the picture is black. */
export function crop(source: Image, top: number, left: number, height: number, width: number): Image {
  const [inHeight, inWidth] = source.shape;
  const out = new Uint8Array(height * width * 3);
  const x0 = Math.max(0, left),
    x1 = Math.min(inWidth, left + width);
  for (let y = Math.max(0, top); y < Math.min(inHeight, top + height) && x0 < x1; y++) {
    const row = source.data.subarray((y * inWidth + x0) * 3, (y * inWidth + x1) * 3);
    out.set(row, ((y - top) * width + x0 - left) * 3);
  }
  return image(out, height, width);
}
