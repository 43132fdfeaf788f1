/** Pictures as data URIs, small enough to be mailed. */
import { stat } from 'node:fs/promises';
import sharp from 'sharp';
import type { Picture } from '../../runs/run-view.js';

/** Longer sides are scaled down to this. */
const MAX_SIDE = 448;
/** Up to this, a picture's pixels are looked at one by one: nothing of them is lost. */
const SMALL = 128;

/** Each picture is read and compressed once, not at every update of the report. */
export class Embedder {
  private readonly known = new Map<string, { readonly changed: number; readonly picture: Picture }>();

  /** @param path of the picture's file @returns undefined where there is none that can be read */
  async embed(path: string, { caption }: Picture): Promise<Picture | undefined> {
    const file = await stat(path).catch(() => undefined);
    if (file === undefined) return undefined;
    const known = this.known.get(path);
    if (known?.changed === file.mtimeMs) return { ...known.picture, caption };
    const made = await shrink(path).catch(() => undefined);
    if (made === undefined) return undefined;
    const picture = { ...made, caption };
    this.known.set(path, { changed: file.mtimeMs, picture });
    return picture;
  }
}

async function shrink(path: string): Promise<Omit<Picture, 'caption'>> {
  const { data, info } = await sharp(path)
    .rotate() // as cameras say
    .resize({ width: MAX_SIDE, height: MAX_SIDE, fit: 'inside', withoutEnlargement: true })
    .toBuffer({ resolveWithObject: true });
  const small = Math.max(info.width, info.height) <= SMALL;
  const webp = await sharp(data)
    .webp(small ? { lossless: true } : { quality: 82 })
    .toBuffer();
  return { src: `data:image/webp;base64,${webp.toString('base64')}`, width: info.width, height: info.height };
}
