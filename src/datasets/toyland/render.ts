/** Pictures of scenes: SVG, rasterised by sharp (librsvg). */
import sharp from 'sharp';
import type { RandomStream } from '../../base/rng.js';
import { image, type Image } from '../image/picture-file.js';
import type { Scene } from './scene.js';
import { BACKDROPS } from './settings.js';
import { bow, FIGURES, hat } from './subjects.js';
import { HEX, type Colour, type Pattern, type Setting, type Subject } from './world.js';

const SCALES = { small: 0.72, '': 1, big: 1.25 } as const;
const STRIPE = { dark: '#00000070', light: '#ffffffb0' };

/** How a subject is painted: an SVG paint, the definitions it needs, and what is drawn on top of the figure. */
export interface Paint {
  readonly fill: string;
  readonly defs?: string;
  readonly marks?: string;
}

/** The colour, with a pattern on it. */
function paintOf(colour: Colour, pattern: Pattern): Paint {
  if (pattern === '') return { fill: HEX[colour] };
  const mark = ['white', 'yellow', 'pink'].includes(colour) ? STRIPE.dark : STRIPE.light;
  const motif =
    pattern === 'striped'
      ? `<rect width="3.4" height="8" fill="${mark}"/>`
      : `<circle cx="2.4" cy="2.4" r="1.9" fill="${mark}"/><circle cx="6.4" cy="6.4" r="1.9" fill="${mark}"/>`;
  const size = pattern === 'striped' ? 7 : 8;
  return {
    fill: 'url(#pattern)',
    defs: `<pattern id="pattern" width="${size}" height="${size}" patternUnits="userSpaceOnUse"><rect width="9" height="9" fill="${HEX[colour]}"/>${motif}</pattern>`,
  };
}

/** @param stream place, tilt, direction, and the details of the setting */
export function toylandSvg(scene: Omit<Scene, 'colour' | 'pattern'>, paint: Paint, stream: RandomStream): string {
  const { behind, before = '', dy = 0 } = BACKDROPS[scene.setting](stream);
  const figure = FIGURES[scene.subject],
    swing = (range: number): number => range * (2 * stream.uniform() - 1);
  const scale = SCALES[scene.size] * (1 + swing(0.08)),
    facing = stream.uniform() < 0.5 ? -1 : 1;
  const place = `translate(${32 + swing(5)} ${36 + dy + swing(3)}) rotate(${swing(7)}) scale(${facing * scale} ${scale})`;
  const worn =
    scene.accessory === 'with a hat'
      ? at(figure.hat, hat)
      : scene.accessory === 'with a bow'
        ? at(figure.bow, bow)
        : '';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><defs>${paint.defs ?? ''}</defs>${behind}<g transform="${place}">${figure.draw(paint.fill)}${paint.marks ?? ''}${worn}</g>${before}</svg>`;
}

const at = ([x, y]: readonly [number, number], drawing: string): string =>
  `<g transform="translate(${x} ${y})">${drawing}</g>`;

/** A subject in a paint of its own, of ordinary size and without accessories. @param size pixels of either side */
export const renderPainted = (
  subject: Subject,
  paint: Paint,
  setting: Setting,
  stream: RandomStream,
  size: number,
): Promise<Image> =>
  // colour and pattern are overruled by the paint
  renderToyland({ subject, setting, colour: 'white', pattern: '', accessory: '', size: '' }, stream, size, paint);

/** @param size pixels of either side @param paint instead of the scene's colour and pattern */
export async function renderToyland(
  scene: Scene,
  stream: RandomStream,
  size: number,
  paint: Paint = paintOf(scene.colour, scene.pattern),
): Promise<Image> {
  const svg = toylandSvg(scene, paint, stream).replace('<svg ', `<svg width="${size}" height="${size}" `);
  const { data, info } = await sharp(Buffer.from(svg))
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  return image(new Uint8Array(data.buffer, data.byteOffset, data.length), info.height, info.width);
}
