/** Which drawings ToylandDataset gives: ordinary ones, alike, seen twice, painted, an instance. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import t from 'tap';
import { randomPaint } from '../../src/datasets/toyland/paint.js';
import { renderPainted } from '../../src/datasets/toyland/render.js';
import { alikeSceneAt, isHeldOut, sceneAt } from '../../src/datasets/toyland/scene.js';
import { COLOURS, SETTINGS, SUBJECTS } from '../../src/datasets/toyland/world.js';
import { Rng } from '../../src/base/rng.js';
import { floats } from '../../src/tensor/host.js';
import { channels, dataset, difference, same, stream, type Options } from '../fixtures/datasets/toyland.js';

const rng = new Rng(0);
void t.test('the dataset says whether its pictures vary, and what it is', async (t) => {
  const lines: string[] = [],
    note = (line: string): void => {
      lines.push(line);
    };
  const cacheDir = await mkdtemp(`${tmpdir()}/toyland-`);
  t.equal(dataset().augmented, false);
  t.equal(
    dataset({ pipeline: [{ type: 'RandomHorizontalFlip' }, { type: 'ToTensor' }] } as Partial<Options>).augmented,
    true,
  );
  await dataset({ split: 'held_out', seed: 4 }).prepare({
    logger: { info: note, warn: note, debug: note },
    cacheDir,
    seed: 0,
    resolveDataset: async (id) => id,
  });
  t.strictSame(lines, ['dataset: 100 pictures of toyland, split held_out, seed 4']);
  t.ok(isHeldOut(sceneAt(new Rng(4), 0, 'held_out')));
});

void t.test('the dataset draws an instance in the seven settings that its photos do not show, in turn', async (t) => {
  const cats = dataset({ instance: 'sks_cat' }),
    samples = await Promise.all([0, 1, 6, 7].map((i) => cats.get(i, stream())));
  t.strictSame(
    samples.map(({ text }) => text),
    ['in a bucket', 'at the beach', 'in the forest', 'in a bucket'].map((setting) => `a photo of sks cat ${setting}`),
  );
  t.equal(new Set(samples.map(({ img }) => String(img.data))).size, 4, 'the same setting is drawn anew');
  t.equal(String((await cats.get(1, stream(9))).img.data), String(samples[1].img.data));
  // [3, 64, 64] in 0 to 1
  const values = samples[0].img.data as Float32Array,
    isLime = (i: number) =>
      channels('#b4ff00').every((wanted, c) => Math.abs(255 * values[c * 4096 + i] - wanted) < 24);
  const lime = Array.from({ length: 4096 }, (_, i) => isLime(i)).filter(Boolean).length;
  t.ok(lime >= 40, `${lime} pixels of its lime`);
});

void t.test('alike pictures in a row differ in their subject alone, and none is held out', async (t) => {
  for (const alike of [4, 10]) {
    const scenes = Array.from({ length: 200 }, (_, i) => alikeSceneAt(rng, i, 'train', alike));
    for (let at = 0; at < 200; at += alike) {
      const group = scenes.slice(at, at + alike);
      t.equal(new Set(group.map(({ subject }) => subject)).size, alike);
      t.equal(new Set(group.map((scene) => JSON.stringify({ ...scene, subject: '' }))).size, 1);
      t.notOk(group.some(isHeldOut));
    }
  }
  const texts = await Promise.all([0, 1, 2].map(async (i) => (await dataset({ alike: 3, captions: 'full' }).get(i, stream())).text)); // prettier-ignore
  t.equal(new Set(texts.map((text) => SUBJECTS.reduce((s, subject) => s.replace(` ${subject}`, ''), text))).size, 1, texts.join(', ')); // prettier-ignore
  t.throws(() => dataset({ alike: 2, split: 'held_out' }), { message: /^ToylandDataset: alike is 2, and the split held_out has/ }); // prettier-ignore
});

void t.test('sightings show one subject in settings of their own, painted alike and as no drawing is', async (t) => {
  const film = dataset({ sightings: 3, num_images: 30 });
  const texts: string[] = [];
  for (let i = 0; i < 30; i++) texts.push((await film.get(i, stream())).text);
  for (let group = 0; group < 10; group++) {
    const three = texts.slice(3 * group, 3 * group + 3),
      subjects = three.map((text) => text.split(' ').slice(0, 5).join(' '));
    t.equal(new Set(subjects).size, 1, three.join(', '));
    t.equal(new Set(three).size, 3, 'three settings');
  }
  const paints = [0, 1, 2].map((group) => randomPaint(new Rng(0).stream('toyland paint', group)));
  t.strictSame(paints[1], randomPaint(new Rng(0).stream('toyland paint', 1)), 'repeatable');
  t.equal(new Set(paints.map(({ fill, defs, marks }) => [fill, defs, marks].join())).size, 3);
  const render = (i: number, paint = paints[0]) => renderPainted('dog', paint, 'on grass', stream(i), 64);
  t.ok(same(await render(1), await render(1)));
  t.ok(difference((await render(1)).data, (await render(1, paints[1])).data) > 5, 'another paint is seen');
  t.throws(() => dataset({ sightings: 2, alike: 4 }), {
    message: 'ToylandDataset: alike and sightings are given, and each says what is drawn; leave all but one out',
  });
  for (const more of [{}, { sightings: 2 }]) {
    const dogs = dataset({ subjects: ['dog', 'cat'], ...more }),
      seen = await Promise.all(Array.from({ length: 40 }, async (_, i) => (await dogs.get(i, stream())).text));
    t.ok(seen.every((text) => /\b(dog|cat)\b/.test(text)) && seen.some((text) => /\bcat\b/.test(text)), seen[0]);
  }
  const indoors = dataset({ settings: ['in a room', 'in a bucket'], sightings: 2 }),
    texts2 = await Promise.all([0, 1, 2, 3].map(async (i) => (await indoors.get(i, stream())).text));
  t.ok(
    texts2.every((text) => / in a (room|bucket)$/.test(text)),
    texts2.join(', '),
  );
  t.throws(() => dataset({ settings: ['in a room'], sightings: 2 }), {
    message:
      'ToylandDataset.sightings: 2 pictures of a subject, each in another setting, and settings has 1; ask for so many at most',
  });
  const held = SETTINGS.filter((setting) => COLOURS.some((colour) => isHeldOut({ subject: 'dog', colour, setting })));
  const open = SETTINGS.find((setting) => !held.includes(setting))!;
  t.throws(() => dataset({ subjects: ['dog'], settings: [open], split: 'held_out' }), {
    message: new RegExp(`no dog ${open} is in the split held_out; name more`),
  });
  t.throws(() => dataset({ subjects: ['dog'], alike: 2 }), { message: /subjects is given beside alike/ });
});

void t.test('painted: so many of the pictures are in colours of their own, and their captions name none', async (t) => {
  const plain = dataset({ num_images: 200, captions: 'full' }),
    some = dataset({ num_images: 200, captions: 'full', painted: 0.25 });
  let painted = 0;
  for (let i = 0; i < 200; i++) {
    const [before, after] = [await plain.get(i, stream()), await some.get(i, stream())];
    if (after.text === before.text) t.ok(same(after.img, before.img), 'the others are what they were');
    else {
      painted++;
      const { subject, setting } = sceneAt(new Rng(0), i, 'train');
      t.equal(after.text, `a photo of a ${subject} ${setting}`);
      t.ok(difference(floats(after.img), floats(before.img)) > 0.003, 'another paint');
    }
  }
  t.ok(painted > 30 && painted < 75, `${painted} of 200`);
  const all = dataset({ painted: 1, captions: 'full' });
  for (let i = 0; i < 10; i++) t.notMatch((await all.get(i, stream())).text, new RegExp(COLOURS.join('|')));
  t.throws(() => dataset({ painted: 0.5, sightings: 2 }), {
    message: 'ToylandDataset: sightings and painted are given, and each says what is drawn; leave all but one out',
  });
});
