import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { contactSheet, decodeImage, image, readImage, writePng } from '../../../src/datasets/image/picture-file.js';
import { resample, type Interpolation } from '../../../src/datasets/image/resample.js';
import { UserError } from '../../../src/base/errors.js';

const FIXTURES = 'test/fixtures/datasets';
const fixture = async <T>(name: string): Promise<T> => JSON.parse(await readFile(join(FIXTURES, name), 'utf8')) as T;

void t.test(
  'decoding equals PIL for grey, alpha, palette, bilevel, CMYK, jpeg, webp, and turns a rotated photo upright',
  async (t) => {
    const { files } = await fixture<{ files: Record<string, { shape: number[]; base64: string }> }>('pil-decode.json');
    const names = Object.keys(files);
    t.equal(names.length, 11);
    for (const name of names) {
      const got = await readImage(join(FIXTURES, name));
      t.strictSame([got.dtype, got.shape], ['uint8', files[name].shape], `${name}: dtype and shape`);
      t.equal(Buffer.from(got.data).toString('base64'), files[name].base64, `${name}: every byte`);
    }
  },
);

void t.test("an unreadable picture is the user's to fix, and is named", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'image-'));
  const text = join(dir, 'text.png'),
    cut = join(dir, 'cut.jpg');
  await writeFile(text, 'not a picture');
  const photo = await readFile(join(FIXTURES, 'photo.jpg'));
  await writeFile(cut, photo.subarray(0, photo.length - 60));
  for (const path of [text, cut, join(dir, 'absent.png')]) {
    const error = await readImage(path).then(
      () => undefined,
      (error: unknown) => error,
    );
    t.ok(error instanceof UserError && error.message.startsWith(`${path}: `), String(error));
  }
  await t.rejects(
    decodeImage(new Uint8Array(0), 'a.parquet row 3'),
    /^a\.parquet row 3: not a readable picture \(0 bytes/,
  );
});

void t.test('a written png reads back the same, with nothing else left in the folder', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'image-'));
  const picture = image(Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 7, 8, 9, 10, 11, 12, 13, 14, 15), 2, 3);
  await writePng(join(dir, 'new/picture.png'), picture);
  t.strictSame(await readImage(join(dir, 'new/picture.png')), picture);
  t.strictSame(await readdir(join(dir, 'new')), ['picture.png']);
});

void t.test('a failed write leaves nothing behind and says where and why', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'image-'));
  await writePng(join(dir, 'taken/inside.png'), image(new Uint8Array(3), 1, 1));
  await t.rejects(
    writePng(join(dir, 'taken'), image(new Uint8Array(3), 1, 1)),
    new UserError(`${join(dir, 'taken')}: a folder, not a file; choose another name for the output`),
  );
  await t.rejects(
    writePng(join(dir, 'taken/inside.png/x.png'), image(new Uint8Array(3), 1, 1)),
    /x\.png: cannot be written/,
  );
  t.strictSame(await readdir(dir), ['taken']);
});

void t.test('a contact sheet puts pictures in rows on white, 4 pixels apart', async (t) => {
  const black = image(new Uint8Array(2 * 2 * 3), 2, 2);
  const sheet = contactSheet([black, black, black], 2);
  t.strictSame(sheet.shape, [8, 8, 3]);
  const dark = Array.from({ length: 64 }, (_, i) => i).filter((i) => sheet.data[i * 3] === 0);
  t.strictSame(dark, [0, 1, 6, 7, 8, 9, 14, 15, 48, 49, 56, 57]);
  t.throws(() => contactSheet([]), RangeError);
});

void t.test('resizing equals PIL bit for bit with every filter, up and down', async (t) => {
  interface Case {
    interpolation: Interpolation;
    from: [number, number];
    to: [number, number];
    expected: string;
  }
  const { cases } = await fixture<{ cases: Case[] }>('pil-resize.json');
  t.equal(cases.length, 24);
  for (const {
    interpolation,
    from: [height, width],
    to,
    expected,
  } of cases) {
    const got = resample(image(noise(height * width * 3), height, width), ...to, interpolation);
    t.equal(
      Buffer.from(got.data).toString('base64'),
      expected,
      `${interpolation} ${width}x${height} to ${to[1]}x${to[0]}`,
    );
  }
});

/** The pixels that the fixture's `source` describes. */
function noise(length: number): Uint8Array {
  let s = 12345n;
  return new Uint8Array(length).map(() => {
    s = (s * 1103515245n + 12345n) % 2n ** 31n;
    return Number((s >> 16n) & 255n);
  });
}
