// Makes docs/shapes.png: what a pipeline leaves of a tall and of a wide drawing. Needs `npm run build`.
//   node scripts/make-shapes-picture.mjs
import sharp from 'sharp';
import { CenterCrop } from '../dist/src/datasets/transforms/center-crop.js';
import { MultiAspectRatioResizeCenterCrop } from '../dist/src/datasets/transforms/multi-aspect-ratio-resize-center-crop.js';
import { Resize } from '../dist/src/datasets/transforms/resize.js';

/** A person, from head to feet, in a box of 200 x 400 at (x, y). */
const person = (x, y, coat) => `<g transform="translate(${x} ${y})">
  <rect x="60" y="250" width="32" height="150" fill="#345"/><rect x="108" y="250" width="32" height="150" fill="#345"/>
  <rect x="45" y="110" width="110" height="155" rx="30" fill="${coat}"/>
  <circle cx="100" cy="60" r="48" fill="#f2c9a0"/><path d="M50 55 a50 50 0 0 1 100 0 z" fill="#5a3a22"/>
  <circle cx="84" cy="68" r="6"/><circle cx="116" cy="68" r="6"/><path d="M84 86 q16 12 32 0" fill="none" stroke="#933" stroke-width="5"/></g>`;
const drawing = async (width, height, people) => {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect width="100%" height="100%" fill="#bfe3f5"/><rect y="${height * 0.72}" width="100%" height="28%" fill="#9ccf88"/>${people}</svg>`;
  return {
    dtype: 'uint8',
    shape: [height, width, 3],
    data: new Uint8Array(await sharp(Buffer.from(svg)).removeAlpha().raw().toBuffer()),
  };
};
const tall = await drawing(400, 640, person(100, 25, '#c33'));
const wide = await drawing(720, 440, person(15, 30, '#c33') + person(505, 30, '#37a'));

const SIZES = [
  [512, 512],
  [640, 384],
  [384, 640],
];
const resize = new Resize({ size: 512, interpolation: 'bilinear' }),
  square = new CenterCrop({ size: 512 }),
  shapes = new MultiAspectRatioResizeCenterCrop({ sizes: SIZES, interpolation: 'bilinear' });
const rows = [tall, wide].map((img) => [
  img,
  square.apply(resize.apply({ img, text: '' })).img,
  shapes.apply({ img, text: '' }).img,
]);

const CELL = 300,
  GAP = 12,
  HEAD = 34;
const tiles = await Promise.all(
  rows.flatMap((row, y) =>
    row.map(async ({ data, shape: [height, width] }, x) => ({
      input: await sharp(Buffer.from(data), { raw: { width, height, channels: 3 } })
        .resize(CELL, CELL, { fit: 'contain', background: '#fff' })
        .png()
        .toBuffer(),
      left: GAP + x * (CELL + GAP),
      top: HEAD + y * (CELL + GAP),
    })),
  ),
);
const titles = ['the file', 'Resize 512, CenterCrop 512', '512x512, 640x384, 384x640'].map(
  (text, x) =>
    `<text x="${GAP + x * (CELL + GAP) + CELL / 2}" y="23" text-anchor="middle" font-family="sans-serif" font-size="17">${text}</text>`,
);
const size = { width: GAP + 3 * (CELL + GAP), height: HEAD + 2 * (CELL + GAP) };
await sharp({ create: { ...size, channels: 3, background: '#fff' } })
  .composite([
    ...tiles,
    {
      input: Buffer.from(
        `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${HEAD}">${titles.join('')}</svg>`,
      ),
      left: 0,
      top: 0,
    },
  ])
  .png({ palette: true })
  .toFile('docs/shapes.png');
