/** Pictures on disk: read, written, laid out on sheets. sharp (libvips) encodes in its own threads. */
import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { UserError } from '../../base/errors.js';
import type { HostTensor } from '../../tensor/host.js';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { decodeImage } from './decode.js';
import { asImage, image, type Image } from './picture.js';

export { asImage, decodeImage, image, type Image };

/** @throws UserError naming the file when it is missing or not a readable picture */
export async function readImage(path: string): Promise<Image> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new UserError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code}); is the path right?`, {
      cause: error,
    });
  }
  return decodeImage(bytes, path);
}

/** Writes a PNG, whole or not at all. @param picture uint8 [H, W, 3] */
export async function writePng(path: string, picture: HostTensor): Promise<void> {
  await writeFileAtomic(path, await encodePng(picture));
}

/** @param picture uint8 [H, W, 3] @returns the bytes of a PNG file */
export async function encodePng(picture: HostTensor): Promise<Uint8Array> {
  const {
    data,
    shape: [height, width],
  } = asImage(picture);
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

const GAP = 4; // pixels between the pictures of a contact sheet

/**
 * Lays pictures out in a grid, row by row on white, each centred in a cell as large as the largest one.
 * @param pictures uint8 [H, W, 3], at least one
 */
export function contactSheet(pictures: readonly HostTensor[], columns = Math.ceil(Math.sqrt(pictures.length))): Image {
  const images = pictures.map(asImage);
  if (images.length === 0 || columns < 1)
    throw new RangeError(`contact sheet: ${images.length} pictures in ${columns} columns`);
  const across = Math.min(columns, images.length),
    down = Math.ceil(images.length / across);
  const cellHeight = Math.max(...images.map(({ shape }) => shape[0]));
  const cellWidth = Math.max(...images.map(({ shape }) => shape[1]));
  const height = down * (cellHeight + GAP) - GAP,
    width = across * (cellWidth + GAP) - GAP;
  const sheet = new Uint8Array(height * width * 3).fill(255);
  images.forEach(({ data, shape: [h, w] }, i) => {
    const top = Math.floor(i / across) * (cellHeight + GAP) + ((cellHeight - h) >> 1);
    const left = (i % across) * (cellWidth + GAP) + ((cellWidth - w) >> 1);
    for (let y = 0; y < h; y++) {
      sheet.set(data.subarray(y * w * 3, (y + 1) * w * 3), ((top + y) * width + left) * 3);
    }
  });
  return image(sheet, height, width);
}
