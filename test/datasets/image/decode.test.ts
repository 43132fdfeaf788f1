import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { UserError } from '../../../src/base/errors.js';
import { decodeImage } from '../../../src/datasets/image/decode.js';
import { upright } from '../../../src/datasets/image/orientation.js';
import { image, readImage, writePng } from '../../../src/datasets/image/picture-file.js';
import { isImageName, isOtherImageName } from '../../../src/datasets/image/picture-format.js';

const PICTURES = 'test/fixtures/datasets/pictures';
type Expected = Record<string, { shape: number[]; base64: string } | null>;
const fixtures = JSON.parse(await readFile(join(PICTURES, 'pictures.json'), 'utf8')) as Expected;

/** Where we differ from PIL on purpose, or within a rounding; docs/formats.md says so. */
const DIFFERENT = ['full.avif', 'subsampled.avif', 'grey16.png', 'grey16.tif', 'white-is-zero16.tif'];
const bytesOf = (name: string) => Buffer.from(fixtures[name]!.base64, 'base64');
const differences = (a: Uint8Array, b: Uint8Array) => [...a].map((v, i) => Math.abs(v - b[i]));

void t.test('pictures of every colour model, depth and container that is read have the values of PIL', async (t) => {
  const names = Object.keys(fixtures).filter((name) => fixtures[name] !== null && !DIFFERENT.includes(name));
  t.equal(names.length, 55);
  for (const name of names) {
    const got = await readImage(join(PICTURES, name));
    t.strictSame(got.shape, fixtures[name]!.shape, `${name}: shape`);
    t.ok(bytesOf(name).equals(got.data), `${name}: every byte`);
  }
});

void t.test('every fixture is named in pictures.json', async (t) => {
  const files = (await readdir(PICTURES)).filter((name) => name !== 'pictures.json');
  t.strictSame(files.sort(), Object.keys(fixtures).sort());
});

void t.test('grey of 16 bits keeps its high byte, where PIL clips at 255', async (t) => {
  const { data } = await readImage(join(PICTURES, 'grey16.png'));
  t.strictSame(
    [...data].filter((_, i) => i % 3 === 0),
    [
      30, 30, 29, 29, 30, 30, 29, 30, 67, 104, 141, 178, 215, 252, 30, 104, 178, 252, 70, 144, 218, 30, 141, 252, 107,
      218, 73, 184, 30, 178, 70, 218, 110, 1, 150,
    ],
  );
  t.strictSame((await readImage(join(PICTURES, 'grey16.tif'))).data, data);
  const inverted = await readImage(join(PICTURES, 'white-is-zero16.tif'));
  t.ok(inverted.data.every((v, i) => v === 255 - data[i]));
});

void t.test('AVIF is turned as it says; its colours are within 1 of PIL unless they are subsampled', async (t) => {
  const full = await readImage(join(PICTURES, 'full.avif'));
  t.strictSame(full.shape, [19, 13, 3]);
  t.ok(Math.max(...differences(full.data, bytesOf('full.avif'))) <= 1);
  const { data } = await readImage(join(PICTURES, 'subsampled.avif'));
  const apart = differences(data, bytesOf('subsampled.avif'));
  t.ok(
    apart.reduce((sum, d) => sum + d, 0) / apart.length < 9,
    `on average ${apart.reduce((s, d) => s + d, 0) / apart.length}`,
  );
});

void t.test('what would be read wrongly is refused by name, with the way out', async (t) => {
  const refuses = async (name: string, what: string) =>
    t.rejects(
      readImage(join(PICTURES, name)),
      new UserError(`${join(PICTURES, name)}: this is ${what}, which is not read; save the picture as .png or .jpg`),
    );
  await refuses('refused-lab.tif', 'a TIFF with CIE LAB colours');
  await refuses('refused-ycbcr.tif', 'a TIFF with YCbCr colours outside JPEG compression');
  await refuses('refused-signed.tif', 'a TIFF with signed samples of 8 or 16 bits');
  await refuses('refused-float-rgb.tif', 'a TIFF with colours as floats');
  await refuses('refused.tga', 'TGA');
  await refuses('refused.ppm', 'PNM (PBM, PGM, PPM, PFM)');
  await refuses('refused.jp2', 'JPEG 2000');
  await refuses('refused.ico', 'ICO');
  await refuses('refused.qoi', 'QOI');
  await refuses('refused.dds', 'DDS');
  await refuses('refused.pcx', 'PCX');
  await refuses('refused.sgi', 'SGI');
  await t.rejects(
    readImage(join(PICTURES, 'refused-4bit.bmp')),
    /BMP, \d+ bytes: 4 bits per pixel, where 1, 8, 24 and 32 are/,
  );
  await t.rejects(readImage(join(PICTURES, 'refused-16bit.bmp')), /16 bits per pixel/);
});

const ftyp = (brands: string) =>
  Buffer.concat([Buffer.from([0, 0, 0, 8 + brands.length]), Buffer.from(`ftyp${brands}`)]);

void t.test('files that only look like pictures are told apart by their first bytes', async (t) => {
  const says = async (bytes: Uint8Array | string, what: string) =>
    t.rejects(decodeImage(Buffer.from(bytes), 'x.jpg'), {
      message: `x.jpg: this is ${what}, which is not read; save the picture as .png or .jpg`,
    });
  await says(ftyp('heic\0\0\0\0mif1heic'), 'HEIC, the format of iPhones');
  await says(ftyp('mif1\0\0\0\0mif1heix'), 'HEIC, the format of iPhones');
  await says(ftyp('avis\0\0\0\0avifavis'), 'an animated AVIF');
  await says(ftyp('isom\0\0\0\0isomavc1'), 'a film');
  await says(Buffer.from([0xff, 0x0a, 0, 0]), 'JPEG XL');
  await says('8BPS\0\x01', 'a Photoshop file (PSD)');
  await says('II*\0\x10\0\0\0CR\x02\0', 'a raw camera file (CR2)');
  await says('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', 'SVG');
  await says('<!DOCTYPE html><html>404', 'a web page (HTML)');
  await t.rejects(
    decodeImage(Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n'), 'a.jpg'),
    new UserError('a.jpg: a Git LFS pointer, not the picture (64 bytes); run "git lfs pull" in that folder'),
  );
  await t.rejects(
    decodeImage(Buffer.from('no picture'), 'a.jpg'),
    new UserError(
      'a.jpg: not a readable picture (10 bytes, of no known kind: it begins with 6e6f207069637475); save it as .png or .jpg, or remove it',
    ),
  );
});

void t.test('a picture that is cut anywhere is refused, by name and kind', async (t) => {
  for (const name of [
    'orientation1.jpg',
    'rgb.tif',
    'rgb.bmp',
    'lossy.webp',
    'full.avif',
    'interlaced.png',
    'grey.gif',
  ]) {
    const bytes = await readFile(join(PICTURES, name));
    for (const share of [0.1, 0.5, 0.9]) {
      const cut = bytes.subarray(0, Math.floor(bytes.length * share));
      await t.rejects(
        decodeImage(cut, name),
        { name: 'UserError', message: new RegExp(`^${name}: `) },
        `${name} ${share}`,
      );
    }
  }
});

void t.test('headers that lie about size or kind end as errors of the user, not as gigabytes', async (t) => {
  const bmp = await readFile(join(PICTURES, 'rgb.bmp'));
  const wide = Buffer.from(bmp).fill(0x7f, 18, 22),
    minus = Buffer.from(bmp);
  minus.writeInt32LE(-7, 18);
  const rle = Buffer.from(await readFile(join(PICTURES, 'grey.bmp')));
  rle.writeUInt32LE(1, 30);
  const twelve = Buffer.from(await readFile(join(PICTURES, 'orientation1.jpg')));
  twelve[twelve.indexOf(Buffer.from([0xff, 0xc0])) + 4] = 12;
  const gif = Buffer.from(await readFile(join(PICTURES, 'open.gif')));
  const noPalette = Buffer.concat([gif.subarray(0, 13), gif.subarray(25)]);
  noPalette[10] &= 0x7f;
  for (const [bytes, why] of [
    [wide, /BMP, \d+ bytes: 2139062143x5 pixels of 24 bits need/],
    [minus, /-7x5 pixels/],
    [rle, /RLE8, which is not read/],
    [twelve, /JPEG, \d+ bytes: .*precision 12/],
    [noPalette, /a GIF without a palette/],
  ] as const)
    await t.rejects(decodeImage(bytes, 'x'), { name: 'UserError', message: why });
});

void t.test('the eight orientations are turns and mirrors of one picture', (t) => {
  const grey = (picture: { data: Uint8Array; shape: readonly number[] }) => [
    picture.shape.slice(0, 2).join('x'),
    [...picture.data].filter((_, i) => i % 3 === 0).join(''),
  ];
  const picture = image(Uint8Array.from([1, 2, 3, 4, 5, 6].flatMap((v) => [v, v, v])), 2, 3); // 123 over 456
  t.strictSame(
    [1, 2, 3, 4, 5, 6, 7, 8, 9].map((orientation) => grey(upright(picture, orientation))),
    [
      ['2x3', '123456'],
      ['2x3', '321654'],
      ['2x3', '654321'],
      ['2x3', '456123'],
      ['3x2', '142536'],
      ['3x2', '415263'],
      ['3x2', '635241'],
      ['3x2', '362514'],
      ['2x3', '123456'],
    ],
  );
  t.end();
});

void t.test('names of pictures are known in any case; hidden files are none', async (t) => {
  for (const name of [
    'a.PNG',
    'a.jpg',
    'a.JPEG',
    'a.jpe',
    'a.jfif',
    'a.webp',
    'a.gif',
    'a.bmp',
    'a.tif',
    'a.TIFF',
    'a.avif',
  ])
    t.ok(isImageName(name), name);
  for (const name of ['.a.png', 'a.txt', 'png', 'a.heic']) t.notOk(isImageName(name), name);
  t.ok(isOtherImageName('IMG_1.HEIC'));
  const dir = await mkdtemp(join(tmpdir(), 'decode-'));
  await writePng(join(dir, 'wrong.jpg'), image(Uint8Array.of(1, 2, 3), 1, 1));
  t.strictSame((await readImage(join(dir, 'wrong.jpg'))).data, Uint8Array.of(1, 2, 3), 'the bytes count, not the name');
});
