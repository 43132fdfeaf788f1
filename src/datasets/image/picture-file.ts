/** Images on disk ↔ uint8 tensors. sharp (libvips) decodes and encodes in its own threads. */
import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { UserError } from '../../base/errors.js';
import type { HostTensor } from '../../tensor/host.js';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { asImage, image, type Image } from './picture.js';

export { asImage, image, type Image };

/** The file names that count as pictures in a folder. */
export const isImageName = (name: string): boolean => /\.(png|jpe?g|webp)$/i.test(name) && !name.startsWith('.');

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

/**
 * Decodes jpg, png or webp bytes to RGB. Grey becomes three equal channels, CMYK is converted, alpha is dropped and
 * colour profiles are ignored, all as PIL's `convert('RGB')`. Unlike PIL, and so unlike DiffEngine, the EXIF
 * orientation is applied: a phone's portrait photo comes out upright.
 * @param where named in the error: the file, or the row of a table
 * @throws UserError when the bytes are no picture, or a truncated one
 */
export async function decodeImage(bytes: Uint8Array, where: string): Promise<Image> {
  try {
    const { data, info } = await sharp(bytes, { failOn: 'error', ignoreIcc: true })
      .autoOrient()
      .toColourspace('srgb')
      .removeAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return image(new Uint8Array(data.buffer, data.byteOffset, data.length), info.height, info.width);
  } catch (error) {
    const why = (error as Error).message.split('\n', 1)[0];
    throw new UserError(`${where}: not a readable picture (${bytes.length} bytes: ${why}); replace or remove it`, {
      cause: error,
    });
  }
}

/** Writes a PNG, whole or not at all. @param picture uint8 [H, W, 3] */
export async function writePng(path: string, picture: HostTensor): Promise<void> {
  await writeFileAtomic(path, await encodePng(picture));
}

/** @param picture uint8 [H, W, 3] @returns the bytes of a PNG file */
export async function encodePng(picture: HostTensor): Promise<Buffer> {
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
