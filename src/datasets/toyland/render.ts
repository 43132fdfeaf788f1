/** A scene as SVG, and as pixels (librsvg by way of sharp). */
import sharp from 'sharp';
import { Rng, type RandomStream } from '../../random/rng.js';
import { image, type Image } from '../image.js';
import { backdrop } from './draw-setting.js';
import { accessory, DRAWINGS } from './draw-subject.js';
import type { Scene } from './scene.js';
import type { Look } from './subject.js';
import { block, dot, n, shade } from './svg.js';
import { PAINT, type Colour, type Pattern, type Size } from './world.js';

const SCALE: Readonly<Record<Size, number>> = { small: 0.66, medium: 0.88, big: 1.08 };
const SKINS = ['#ffd7b5', '#e8b088', '#a86a3d'], HAIRS = ['#2b1a12', '#6b3d1e', '#f0c64a'];
/** What stripes and spots are painted with, over each colour. */
const MARKS: Readonly<Record<Colour, string>> = {
  red: '#fff', orange: '#5a2a00', yellow: '#3a3a3a', green: '#d8ff5a', blue: '#fff', purple: '#fff', white: '#3a3a3a', brown: '#ffe2b8',
};

/**
 * The picture of a scene. Chance moves, turns and scales the subject a little and strews the details of the setting.
 * @param stream where chance comes from; a number stands for a seed
 * @returns uint8 [size, size, 3]
 */
export function renderToyland(scene: Scene, stream: RandomStream | number, size = 64): Promise<Image> {
  const chance = typeof stream === 'number' ? new Rng(stream).stream('toyland picture') : stream;
  const look = lookOf(scene.colour, scene.pattern, chance);
  return rasterise(compose(scene, look, markings(scene), chance), size);
}

/** @param svg as `compose` gives it @returns uint8 [size, size, 3] */
export async function rasterise(svg: string, size: number): Promise<Image> {
  const sized = `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}" viewBox="0 0 100 100">${svg}</svg>`;
  const { data } = await sharp(Buffer.from(sized)).flatten({ background: '#fff' }).raw().toBuffer({ resolveWithObject: true });
  return image(new Uint8Array(data.buffer, data.byteOffset, data.length), size, size);
}

/** @param defs SVG definitions that the look's fill refers to @param extra drawn over the subject, in its own units */
export function compose(scene: Omit<Scene, 'colour' | 'pattern'>, look: Look, defs: string, stream: RandomStream, extra = ''): string {
  const { behind, before, ground } = backdrop(scene.setting, stream);
  const drawing = DRAWINGS[scene.subject];
  const vary = (by: number): number => (2 * stream.uniform() - 1) * by;
  const inBucket = scene.setting === 'in a bucket';
  // Size tells little of what sticks out of a bucket, and too large a subject would fall out of it.
  const scale = n((inBucket ? 0.8 : 0.88) * (SCALE[scene.size] / 0.88) ** (inBucket ? 0.5 : 1) * (1 + vary(0.08)));
  const x = n(50 + vary(inBucket ? 4 : 10 / scale - 4)), y = n(inBucket ? ground - (drawing.bucketLift ?? 0) : ground + vary(4));
  const mirror = scene.facing === 'left' ? -1 : 1, turn = n(vary(6) + (inBucket ? mirror * (drawing.bucketTurn ?? 0) : 0));
  const subject = `<g transform="translate(${x} ${y}) rotate(${turn}) scale(${mirror * scale} ${scale})">${drawing.draw(look)}${extra}${accessory(drawing, scene.accessory)}</g>`;
  const shown = inBucket ? `<clipPath id="out"><path d="M-50 -50 H150 V62 H86 V70 H14 V62 H-50 Z"/></clipPath><g clip-path="url(#out)">${subject}</g>` : subject;
  return `<defs>${defs}</defs>${behind}${shown}${before}`;
}

function lookOf(colour: Colour, pattern: Pattern, stream: RandomStream): Look {
  const plain = PAINT[colour];
  return {
    plain, fill: pattern === 'plain' ? plain : 'url(#marked)', shade: shade(plain, 0.68),
    skin: SKINS[stream.int(0, SKINS.length)], hair: HAIRS[stream.int(0, HAIRS.length)],
  };
}

/** Stripes or spots of a third of the area, wide enough to be 4 pixels at 64. */
function markings({ colour, pattern }: Scene): string {
  if (pattern === 'plain') return '';
  const mark = MARKS[colour];
  const marks = pattern === 'striped' ? block(0, 0, 5.5, 15, mark) : dot(4, 4, 3.6, mark) + dot(11.5, 11.5, 3.6, mark);
  return `<pattern id="marked" width="15" height="15" patternUnits="userSpaceOnUse">${block(0, 0, 15, 15, PAINT[colour])}${marks}</pattern>`;
}
