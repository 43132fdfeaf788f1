/** Bytes of a picture file to a uint8 tensor. sharp (libvips) decodes in its own threads, bmp-ts what libvips lacks. */
import sharp, { type Sharp } from 'sharp';
import { UserError } from '../../base/errors.js';
import { refuseLfsPointer } from '../../base/lfs-pointer.js';
import { decodeBmp } from './bmp.js';
import { firstGifFrame } from './gif-frame.js';
import { orientationOf, upright } from './orientation.js';
import { image, type Image } from './picture.js';
import { pictureFormat } from './picture-format.js';
import { unreadableTiff } from './tiff-tags.js';

/**
 * Decodes JPEG, PNG, WebP, GIF, TIFF, AVIF and uncompressed BMP to RGB, the first frame or page of several. The values
 * are those of PIL 12's `ImageOps.exif_transpose(picture).convert('RGB')`: grey becomes three equal channels, CMYK is
 * converted without a profile, alpha is dropped, colour profiles are ignored. Exceptions are in docs/formats.md: grey of
 * 16 bits keeps its high byte, where PIL clips at 255; AVIF with subsampled colour is interpolated otherwise.
 * @param where named in the error: the file, or the row of a table
 * @throws UserError when the bytes are no picture, a damaged one, or of a kind that would not be read exactly
 */
export async function decodeImage(bytes: Uint8Array, where: string): Promise<Image> {
  refuseLfsPointer(bytes, where, 'the picture');
  const format = pictureFormat(bytes);
  if (format && !format.read)
    throw new UserError(`${where}: this is ${format.name}, which is not read; save the picture as .png or .jpg`);
  if (format === undefined)
    throw new UserError(
      `${where}: not a readable picture (${bytes.length} bytes, of no known kind: ${begin(bytes)}); save it as .png or .jpg, or remove it`,
    );
  const kind = format.name === 'TIFF' ? unreadableTiff(bytes) : undefined;
  if (kind !== undefined)
    throw new UserError(`${where}: this is a TIFF with ${kind}, which is not read; save the picture as .png or .jpg`);
  try {
    return await (format.name === 'BMP' ? decodeBmp(bytes) : decodeWithSharp(bytes, format.name));
  } catch (error) {
    const [why] = (error as Error).message.split('\n', 1);
    throw new UserError(
      `${where}: not a readable picture (${format.name}, ${bytes.length} bytes: ${why}); save it again as .png or .jpg, or remove it`,
      { cause: error },
    );
  }
}

const begin = (bytes: Uint8Array): string =>
  bytes.length === 0 ? 'empty' : `it begins with ${Buffer.from(bytes.subarray(0, 8)).toString('hex')}`;

async function decodeWithSharp(bytes: Uint8Array, format: string): Promise<Image> {
  const file = sharp(bytes, { failOn: 'error', ignoreIcc: true }),
    meta = await file.metadata();
  if (format === 'GIF') return decodeGif(file, bytes);
  if (format === 'AVIF' && premultiplied(bytes)) throw new Error('its colours are multiplied with alpha');
  const rgb = meta.space === 'cmyk' ? await decodeCmyk(file, meta.depth) : await decodeRgb(file);
  return upright(rgb, orientationOf(bytes, format, meta));
}

async function decodeRgb(file: Sharp): Promise<Image> {
  const { data, info } = await raw(file.toColourspace('srgb').removeAlpha());
  return image(new Uint8Array(data.buffer, data.byteOffset, data.length), info.height, info.width);
}

const raw = (file: Sharp) => file.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });

/** As PIL's cmyk2rgb (libImaging/Convert.c): each ink takes its share of the light that black leaves. */
async function decodeCmyk(file: Sharp, depth: string): Promise<Image> {
  const wide = depth === 'ushort', // 16 bits: the high bytes count
    inks = file.pipelineColourspace('cmyk').toColourspace('cmyk'),
    { data, info } = await inks.raw({ depth: wide ? 'ushort' : 'uchar' }).toBuffer({ resolveWithObject: true }),
    ink = (i: number): number => (wide ? data[i * 2 + 1] : data[i]), // little-endian
    pixels = info.width * info.height,
    rgb = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    const light = 255 - ink(i * info.channels + 3);
    for (let c = 0; c < 3; c++) {
      const product = ink(i * info.channels + c) * light + 128; // divided by 255, rounded, as PIL's MULDIV255
      rgb[i * 3 + c] = light - (((product >> 8) + product) >> 8);
    }
  }
  return image(rgb, info.height, info.width);
}

/** Transparent pixels have the colour that the palette gives them, and so has what the frame does not cover. */
async function decodeGif(file: Sharp, bytes: Uint8Array): Promise<Image> {
  const { data, info } = await raw(file.toColourspace('srgb').ensureAlpha()),
    { left, top, width, height, open } = firstGifFrame(bytes),
    rgb = new Uint8Array(info.width * info.height * 3);
  for (let y = 0, i = 0; y < info.height; y++)
    for (let x = 0; x < info.width; x++, i++) {
      const covered = x >= left && x < left + width && y >= top && y < top + height && data[i * 4 + 3] > 0;
      rgb.set(covered ? data.subarray(i * 4, i * 4 + 3) : open, i * 3);
    }
  return image(rgb, info.height, info.width);
}

/** The item reference `prem` of MIAF (ISO/IEC 23000-22, 7.3.5.2) stands in the boxes before the data. */
const premultiplied = (bytes: Uint8Array): boolean =>
  /iref[^]{0,512}?prem/.test(Buffer.from(bytes.subarray(0, 4096)).toString('latin1'));
