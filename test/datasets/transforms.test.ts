import t from 'tap';
import { asImage, image, type Image } from '../../src/datasets/image/picture-file.js';
import { CenterCrop } from '../../src/datasets/transforms/center-crop.js';
import { Normalize } from '../../src/datasets/transforms/normalize.js';
import { PackInputs } from '../../src/datasets/transforms/pack-inputs.js';
import { RandomCrop } from '../../src/datasets/transforms/random-crop.js';
import { RandomHorizontalFlip } from '../../src/datasets/transforms/random-horizontal-flip.js';
import { Resize } from '../../src/datasets/transforms/resize.js';
import { ToTensor } from '../../src/datasets/transforms/to-tensor.js';
import { UserError } from '../../src/base/errors.js';
import { Rng } from '../../src/base/rng.js';

const stream = (i = 0) => new Rng(7).stream('data', i);
const sample = (img: Image) => ({ img, text: 'a dog' });
/** Each pixel is (y, x, 0), so that a pixel says where it came from. */
function map(height: number, width: number): Image {
  return image(
    Uint8Array.from(
      { length: height * width * 3 },
      (_, i) => [Math.floor(i / 3 / width), Math.floor(i / 3) % width, 0][i % 3],
    ),
    height,
    width,
  );
}
const places = (img: Image): string[] =>
  Array.from({ length: img.data.length / 3 }, (_, i) => `${img.data[i * 3]},${img.data[i * 3 + 1]}`);

void t.test('Resize with one number gives it to the shorter side and truncates the longer one', async (t) => {
  const shape = (h: number, w: number, size: number | [number, number]) =>
    new Resize({ size, interpolation: 'bilinear' }).apply(sample(map(h, w))).img.shape;
  t.strictSame(shape(30, 20, 7), [10, 7, 3], '7 * 30 / 20 = 10.5');
  t.strictSame(shape(20, 30, 7), [7, 10, 3]);
  t.strictSame(shape(20, 20, 7), [7, 7, 3]);
  t.strictSame(shape(20, 30, [4, 9]), [4, 9, 3]);
});

void t.test(
  'CenterCrop takes the middle, a half to the even side, and pads a smaller picture with black',
  async (t) => {
    const cut = (h: number, w: number, size: number | [number, number]) =>
      asImage(new CenterCrop({ size }).apply(sample(map(h, w))).img);
    t.strictSame(places(cut(4, 4, 2)), ['1,1', '1,2', '2,1', '2,2']);
    t.equal(places(cut(5, 5, 2))[0], '2,2', 'round(1.5) = 2');
    t.equal(places(cut(7, 7, 2))[0], '2,2', 'round(2.5) = 2');
    const padded = cut(2, 2, 4);
    t.strictSame(padded.shape, [4, 4, 3]);
    t.strictSame(places(padded).slice(5, 7).concat(places(padded).slice(9, 11)), ['0,0', '0,1', '1,0', '1,1']);
    t.strictSame(places(cut(2, 4, [4, 2])).slice(2, 6), ['0,1', '0,2', '1,1', '1,2'], 'taller and narrower at once');
  },
);

void t.test('RandomCrop reaches every place, keeps the piece whole, and refuses a smaller picture', async (t) => {
  const crop = new RandomCrop({ size: [2, 3] });
  const seen = new Set<string>();
  for (let i = 0; i < 200; i++) {
    const { img } = crop.apply(sample(map(4, 5)), stream(i));
    const all = places(asImage(img)),
      [y, x] = all[0].split(',').map(Number);
    t.strictSame(all, [
      `${y},${x}`,
      `${y},${x + 1}`,
      `${y},${x + 2}`,
      `${y + 1},${x}`,
      `${y + 1},${x + 1}`,
      `${y + 1},${x + 2}`,
    ]);
    seen.add(all[0]);
  }
  t.strictSame([...seen].sort(), ['0,0', '0,1', '0,2', '1,0', '1,1', '1,2', '2,0', '2,1', '2,2']);
  t.throws(
    () => crop.apply(sample(map(1, 5)), stream()),
    new UserError('RandomCrop: the picture is 5x1, smaller than the crop 3x2; put a Resize before it'),
  );
});

void t.test('RandomHorizontalFlip mirrors with its probability and leaves its argument alone', async (t) => {
  const picture = map(2, 3),
    flip = (p: number, i = 0) => asImage(new RandomHorizontalFlip({ p }).apply(sample(picture), stream(i)).img);
  t.strictSame(places(flip(1)), ['0,2', '0,1', '0,0', '1,2', '1,1', '1,0']);
  t.strictSame(places(flip(0)), places(picture));
  t.strictSame(picture, map(2, 3));
  const mirrored = Array.from({ length: 400 }, (_, i) => flip(0.25, i)).filter(
    (img) => places(img)[0] === '0,2',
  ).length;
  t.ok(mirrored > 70 && mirrored < 130, `${mirrored} of 400`);
});

void t.test('ToTensor and Normalize give channels first, -1 to 1, in float32 steps as torch', async (t) => {
  const picture = image(Uint8Array.of(0, 128, 255, 1, 2, 3), 1, 2);
  const { img } = new ToTensor().apply(sample(picture));
  t.strictSame([img.dtype, img.shape], ['float32', [3, 1, 2]]);
  t.strictSame([...img.data], [0, 1 / 255, 128 / 255, 2 / 255, 1, 3 / 255].map(Math.fround));
  const one = new Normalize({ mean: [0.5], std: [0.5] }).apply({ img, text: '' }).img;
  t.strictSame(
    [...one.data].map((v) => Number(Number(v).toFixed(6))),
    [-1, -0.992157, 0.003922, -0.984314, 1, -0.976471],
  );
  const three = new Normalize({ mean: [0, 0.5, 1], std: [1, 0.5, 2] }).apply({ img, text: '' }).img;
  t.strictSame([three.data[0], three.data[4]], [0, 0], '(0 - 0) / 1 and (1 - 1) / 2');
  t.throws(
    () => new Normalize({ mean: [1, 2], std: [1] }),
    new UserError('Normalize.mean: 2 values; give 1 (for all channels) or 3'),
  );
});

void t.test('a step that wants pixels says so after ToTensor, and Normalize before it', async (t) => {
  const tensor = new ToTensor().apply(sample(map(2, 2)));
  t.throws(
    () => new Resize({ size: 4, interpolation: 'bilinear' }).apply(tensor),
    new UserError('Resize: the picture is float32 [3,2,2] already; put ToTensor after it'),
  );
  t.throws(
    () => new Normalize({ mean: [0.5], std: [0.5] }).apply(sample(map(2, 2))),
    new UserError('Normalize: the picture is still uint8 [2,2,3]; put ToTensor before it'),
  );
});

void t.test('PackInputs keeps the picture and the text only', async (t) => {
  const packed = new PackInputs().apply({ img: map(1, 1), text: 'a', path: 'x.png' });
  t.strictSame(packed, { img: map(1, 1), text: 'a' });
});
