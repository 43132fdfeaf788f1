/** Uncompressed BMP through bmp-ts, for the depths that it decodes exactly. Layout: BITMAPINFOHEADER and its successors. */
import { decode } from 'bmp-ts';
import { image, type Image } from './picture.js';

const [RGB, BIT_FIELDS] = [0, 3];
const COMPRESSIONS: Readonly<Record<number, string>> = {
  1: 'RLE8',
  2: 'RLE4',
  4: 'JPEG',
  5: 'PNG',
  6: 'alpha bit fields',
};

/** @throws Error that says what is not read, or missing */
export function decodeBmp(bytes: Uint8Array): Image {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (file.length < 54) throw new Error('its header is cut');
  const header = file.readUInt32LE(14),
    width = file.readInt32LE(18),
    height = Math.abs(file.readInt32LE(22)),
    bits = file.readUInt16LE(28),
    compression = file.readUInt32LE(30);
  if (header < 40) throw new Error(`an OS/2 header of ${header} bytes, which is not read`);
  if (![1, 8, 24, 32].includes(bits)) throw new Error(`${bits} bits per pixel, where 1, 8, 24 and 32 are read`);
  if (compression !== RGB && !(compression === BIT_FIELDS && bits === 32))
    throw new Error(`${COMPRESSIONS[compression] ?? `compression ${compression}`}, which is not read`);
  const needed = file.readUInt32LE(10) + Math.ceil((width * bits) / 32) * 4 * height;
  if (width <= 0 || height === 0 || needed > file.length)
    throw new Error(`${width}x${height} pixels of ${bits} bits need ${needed} bytes`);
  const { data } = decode(file), // 4 bytes a pixel: alpha, blue, green, red
    rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    rgb[i * 3] = data[i * 4 + 3];
    rgb[i * 3 + 1] = data[i * 4 + 2];
    rgb[i * 3 + 2] = data[i * 4 + 1];
  }
  return image(rgb, height, width);
}
