/** How a camera was held when it took a picture. */
import type { Metadata } from 'sharp';
import { image, type Image } from './picture.js';
import { ORIENTATION, tiffTags } from './tiff-tags.js';

/**
 * EXIF's orientation, else XMP's, where PIL's `getexif` looks for them.
 * @param format as `pictureFormat` names it  @returns 1 for AVIF that says how to turn it, which libvips has done
 */
export function orientationOf(bytes: Uint8Array, format: string, { orientation, xmpAsString, comments }: Metadata) {
  if (format === 'AVIF' && /irot|imir/.test(Buffer.from(bytes.subarray(0, 4096)).toString('latin1'))) return 1;
  const exif = format === 'TIFF' ? tiffTags(bytes).get(ORIENTATION) : (orientation ?? inComment(comments)); // libvips gives a TIFF without the tag a 1
  return exif ?? Number(/tiff:Orientation(?:="|>)([0-9])/.exec(xmpAsString ?? '')?.[1] ?? 1);
}

/** ImageMagick wrote EXIF into PNG as a text: a title, a length, then hexadecimal lines. */
function inComment(comments: Metadata['comments']): number | undefined {
  const text = comments?.find(({ keyword }) => keyword === 'Raw profile type exif')?.text;
  if (text === undefined) return undefined;
  const exif = Buffer.from(text.split('\n').slice(3).join(''), 'hex');
  return tiffTags(exif.toString('latin1', 0, 4) === 'Exif' ? exif.subarray(6) : exif).get(ORIENTATION);
}

/** @param orientation 1 to 8 (EXIF 2.32, 4.6.4); anything else is 1, upright  @returns what the eye should see */
export function upright(picture: Image, orientation: number): Image {
  if (!(orientation >= 2 && orientation <= 8)) return picture;
  const { data, shape } = picture,
    [height, width] = shape,
    turned = orientation >= 5, // rows become columns
    [H, W] = turned ? [width, height] : [height, width],
    mirrorX = [2, 3, 6, 7].includes(orientation),
    mirrorY = [3, 4, 7, 8].includes(orientation),
    out = new Uint8Array(data.length);
  for (let y = 0, i = 0; y < H; y++)
    for (let x = 0; x < W; x++) {
      const column = mirrorX ? W - 1 - x : x,
        row = mirrorY ? H - 1 - y : y,
        from = (turned ? column * width + row : row * width + column) * 3;
      out[i++] = data[from];
      out[i++] = data[from + 1];
      out[i++] = data[from + 2];
    }
  return image(out, H, W);
}
