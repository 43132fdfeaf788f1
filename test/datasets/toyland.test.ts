import t from 'tap';
import { readImage, type Image } from '../../src/datasets/image/picture-file.js';
import { INSTANCES, instancePhotos, PHOTO_SETTINGS, renderInstance } from '../../src/datasets/toyland/instances.js';
import { renderToyland } from '../../src/datasets/toyland/render.js';
import { captionOf, fullCaption, isHeldOut, sceneAt, type Scene } from '../../src/datasets/toyland/scene.js';
import {
  ACCESSORIES,
  COLOURS,
  HEX,
  PATTERNS,
  SETTINGS,
  SUBJECTS,
  VOCABULARY,
} from '../../src/datasets/toyland/world.js';
import { Rng } from '../../src/base/rng.js';
import { channels, dataset, difference, same, stream } from '../fixtures/datasets/toyland.js';

const DRAWS = 5000;
const rng = new Rng(0);
const trainScenes = Array.from({ length: DRAWS }, (_, i) => sceneAt(rng, i, 'train'));
const trainCaptions = trainScenes.map((scene, i) => captionOf(scene, rng.stream('toyland caption', i)));
const RED_DOG: Scene = { subject: 'dog', colour: 'red', setting: 'in the snow', pattern: '', accessory: '', size: '' };

/** Phrases of the list that the caption has, as whole words. */
const phrasesIn = (caption: string, phrases: readonly string[]): string[] =>
  phrases.filter((phrase) => phrase !== '' && ` ${caption} `.includes(` ${phrase} `));

/** Pixels whose channels are all within 24 of the colour. */
function pixelsNear({ data }: Image, hex: string): number {
  const [r, g, b] = channels(hex);
  let count = 0;
  for (let p = 0; p < data.length; p += 3) {
    if (Math.abs(data[p] - r) <= 24 && Math.abs(data[p + 1] - g) <= 24 && Math.abs(data[p + 2] - b) <= 24) count++;
  }
  return count;
}
void t.test('a full caption says everything, in this order', async (t) => {
  t.equal(fullCaption(RED_DOG), 'a photo of a red dog in the snow');
  t.equal(fullCaption({ ...RED_DOG, colour: 'orange', setting: 'on grass' }), 'a photo of an orange dog on grass');
  t.equal(
    fullCaption({ ...RED_DOG, size: 'small', pattern: 'striped', accessory: 'with a hat' }, 'a picture of'),
    'a picture of a small striped red dog with a hat in the snow',
  );
  t.equal(fullCaption({ ...RED_DOG, accessory: 'with a bow' }, ''), 'a red dog with a bow in the snow');
});

void t.test('a full caption has one subject, one colour and one setting: those of its scene', async (t) => {
  for (const scene of trainScenes.slice(0, 500)) {
    const text = fullCaption(scene);
    t.strictSame(
      [phrasesIn(text, SUBJECTS), phrasesIn(text, COLOURS), phrasesIn(text, SETTINGS)],
      [[scene.subject], [scene.colour], [scene.setting]],
      text,
    );
  }
});

void t.test('training captions never say what is not there', async (t) => {
  const wrong = trainCaptions.filter((text, i) => {
    const scene = trainScenes[i];
    const said = [
      ...phrasesIn(text, COLOURS),
      ...phrasesIn(text, SETTINGS),
      ...phrasesIn(text, PATTERNS),
      ...phrasesIn(text, ACCESSORIES),
      ...phrasesIn(text, ['small', 'big']),
    ];
    return (
      phrasesIn(text, SUBJECTS).join() !== scene.subject ||
      said.some((phrase) => !(Object.values(scene) as string[]).includes(phrase))
    );
  });
  t.strictSame(wrong, []);
});

void t.test(
  'one training caption in eight leaves something out, down to the class prompt of every subject',
  async (t) => {
    const full = trainCaptions.filter((text, i) =>
      text.endsWith(fullCaption({ ...trainScenes[i], size: '' }, '').replace(/^an? /, '')),
    );
    t.ok(full.length / DRAWS > 0.85 && full.length / DRAWS < 0.91, `${full.length} of ${DRAWS} are full`); // 7/8, and a few partial ones that lost nothing
    const all = new Set(
      Array.from({ length: 12_000 }, (_, i) => captionOf(sceneAt(rng, i, 'train'), rng.stream('toyland caption', i))),
    );
    t.strictSame(
      SUBJECTS.filter((subject) => !all.has(`a photo of a ${subject}`)),
      [],
    );
    t.strictSame(
      SETTINGS.filter((setting) => !SUBJECTS.some((subject) => all.has(`a photo of a ${subject} ${setting}`))),
      [],
    );
  },
);

void t.test('the vocabulary has every word of the captions, and the words of DreamBooth prompts', async (t) => {
  const known = new Set(VOCABULARY);
  t.strictSame(
    [...new Set(trainCaptions.flatMap((text) => text.split(' ')))].filter((word) => !known.has(word)),
    [],
  );
  t.ok(known.has('sks') && known.has('face'));
  t.strictSame([...VOCABULARY], [...known].sort());
});

void t.test('96 of the 960 triples are held out: training has none of them, held_out nothing else', async (t) => {
  const triples = SUBJECTS.flatMap((subject) =>
    COLOURS.flatMap((colour) => SETTINGS.map((setting) => ({ subject, colour, setting }))),
  );
  t.equal(triples.length, 960);
  t.equal(triples.filter(isHeldOut).length, 96);
  t.equal(trainScenes.filter(isHeldOut).length, 0);
  t.equal(Array.from({ length: 500 }, (_, i) => sceneAt(rng, i, 'held_out')).filter(isHeldOut).length, 500);
  const both = Array.from({ length: DRAWS }, (_, i) => sceneAt(rng, i, 'all')).filter(isHeldOut).length / DRAWS;
  t.ok(both > 0.08 && both < 0.12, `${both} of all`);
});

void t.test('every pair of subject, colour and setting occurs in training', async (t) => {
  const pairs = (a: 'subject' | 'colour' | 'setting', b: 'subject' | 'colour' | 'setting') =>
    new Set(trainScenes.map((scene) => `${scene[a]}, ${scene[b]}`)).size;
  t.strictSame([pairs('subject', 'colour'), pairs('subject', 'setting'), pairs('colour', 'setting')], [96, 120, 80]);
});

void t.test('the same stream draws the same bytes, another one other bytes, at any size', async (t) => {
  const first = await renderToyland(RED_DOG, stream(0), 64);
  t.strictSame(first.shape, [64, 64, 3]);
  t.equal(same(await renderToyland(RED_DOG, stream(0), 64), first), true);
  t.equal(same(await renderToyland(RED_DOG, stream(1), 64), first), false);
  t.strictSame((await renderToyland(RED_DOG, stream(0), 128)).shape, [128, 128, 3]);
});

void t.test('every subject shows every colour: 80 pixels or more that another colour would take away', async (t) => {
  for (const subject of SUBJECTS) {
    const drawn = await Promise.all(
      COLOURS.map((colour) => renderToyland({ ...RED_DOG, subject, colour, setting: 'in the city' }, stream(), 64)),
    );
    const gained = COLOURS.map(
      (colour, i) => pixelsNear(drawn[i], HEX[colour]) - pixelsNear(drawn[(i + 1) % COLOURS.length], HEX[colour]),
    );
    t.ok(Math.min(...gained) >= 80, `${subject}: ${gained}`);
  }
});

void t.test('patterns, accessories and sizes change the picture', async (t) => {
  for (const subject of SUBJECTS) {
    const draw = (more: Partial<Scene>) =>
      renderToyland({ ...RED_DOG, subject, setting: 'in a room', ...more }, stream(), 64);
    const plain = await draw({});
    for (const more of [
      { pattern: 'striped' },
      { pattern: 'spotted' },
      { accessory: 'with a hat' },
      { accessory: 'with a bow' },
      { size: 'small' },
      { size: 'big' },
    ] as const) {
      const changed = difference((await draw(more)).data, plain.data);
      t.ok(changed > 1, `${subject} ${Object.values(more).join()}: ${changed}`);
    }
  }
});

void t.test('settings differ by the mean colours of their upper and lower edges', async (t) => {
  /** Means of the first and the last four rows, over eight pictures. */
  const edges = async (setting: Scene['setting']): Promise<number[]> => {
    const pictures = await Promise.all(
      Array.from({ length: 8 }, (_, i) => renderToyland({ ...RED_DOG, setting, size: 'small' }, stream(i), 64)),
    );
    const mean = (from: number, channel: number) => {
      const values = pictures.flatMap(({ data }) =>
        Array.from(data.subarray(from, from + 4 * 64 * 3)).filter((_, i) => i % 3 === channel),
      );
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    return [0, 60 * 64 * 3].flatMap((from) => [0, 1, 2].map((channel) => mean(from, channel)));
  };
  const all = await Promise.all(SETTINGS.map(edges));
  for (let i = 0; i < all.length; i++) {
    for (let j = 0; j < i; j++) {
      const apart = Math.hypot(...all[i].map((value, k) => value - all[j][k]));
      t.ok(apart > 40, `${SETTINGS[i]} and ${SETTINGS[j]}: ${apart.toFixed(1)} apart`);
    }
  }
});

void t.test(
  'the dataset gives the same picture and text for an index, whatever the stream, and others for another index or seed',
  async (t) => {
    const toyland = dataset(),
      sample = await toyland.get(7, stream(0));
    t.equal(toyland.length, 100);
    t.strictSame([sample.img.dtype, sample.img.shape], ['float32', [3, 64, 64]]);
    t.equal(sample.text, trainCaptions[7]);
    const again = await dataset().get(7, stream(1));
    t.equal(again.text, sample.text);
    t.equal(same(again.img, sample.img), true);
    t.equal(same((await toyland.get(8, stream(0))).img, sample.img), false);
    t.equal(same((await dataset({ seed: 1 }).get(7, stream(0))).img, sample.img), false);
    t.equal((await dataset({ captions: 'full' }).get(7, stream(0))).text, fullCaption({ ...trainScenes[7], size: '' }));
    t.strictSame((await dataset({ size: 32 }).get(7, stream(0))).img.shape, [3, 32, 32]);
  },
);

void t.test('the shipped instances are those that the sources draw', async (t) => {
  for (const instance of INSTANCES) {
    const drawn = await instancePhotos(instance);
    t.equal(drawn.length, 5);
    for (const [i, photo] of drawn.entries()) {
      const shipped = await readImage(`assets/toyland-instances/${instance}/${i}.png`);
      t.strictSame(shipped.shape, [64, 64, 3]);
      t.ok(difference(shipped.data, photo.data) < 1, `${instance}/${i}.png`); // another librsvg may round edges differently
    }
  }
});

void t.test(
  'an instance has a look that no training picture has, also in settings that its photos do not show',
  async (t) => {
    const looks = {
      sks_dog: ['#d4007f', '#00c2b2'],
      sks_face: ['#a6f000', '#ffe600'],
      sks_cat: ['#b4ff00', '#3c3846'],
      sks_robot: ['#00e5ee', '#ff4a00'],
    };
    const train = await Promise.all(trainScenes.slice(0, 400).map((scene, i) => renderToyland(scene, stream(i), 64)));
    for (const instance of INSTANCES) {
      const both = (picture: Image) => Math.min(...looks[instance].map((hex) => pixelsNear(picture, hex)));
      t.ok(Math.max(...train.map(both)) < 20, `${instance}: its two colours together are in no training picture`);
      for (const photo of await instancePhotos(instance))
        t.ok(both(photo) >= 40, `${instance}: ${both(photo)} pixels of each`);
      t.ok(both(await renderInstance(instance, 'at night', stream())) >= 40);
    }
    t.notOk(
      (PHOTO_SETTINGS as readonly string[]).includes('in a bucket') ||
        (PHOTO_SETTINGS as readonly string[]).includes('at night'),
    );
  },
);
