import t from 'tap';
import { DreamBoothDataset } from '../../src/datasets/dreambooth-dataset.js';
import { ToTensor } from '../../src/datasets/transforms/to-tensor.js';
import type { Build } from '../../src/registry/tokens.js';
import { greyOf, samplesOf, services, tree } from './tree.js';

type Options = ConstructorParameters<typeof DreamBoothDataset>[0];
const build: Build = (() => new ToTensor()) as Build;
const CLASS: Options['class_image'] = {
  model: null,
  num_images: 1,
  data_dir: null,
  size: 2,
  num_inference_steps: 1,
  guidance_scale: 1,
  guidance_rescale: 0,
  scheduler: null,
  seed: null,
};

/** What was said, and grey and text of each sample and of the class picture with it. */
async function read(dataset: string, more: Partial<Options> = {}) {
  const set = new DreamBoothDataset(
      {
        dataset,
        instance_prompt: 'a photo of sks dog',
        caption_extension: '.txt',
        class_prompt: null,
        class_image: CLASS,
        pipeline: [{ type: 'ToTensor' }],
        ...more,
      },
      build,
    ),
    run = services();
  await set.prepare(run);
  const samples = await samplesOf(set);
  return {
    lines: run.lines.map((line) => line.replaceAll(dataset, 'DIR')),
    pairs: samples.map(({ img, text }) => [greyOf(img), text]),
    priors: samples.map(({ prior }) => prior && [greyOf(prior.img), prior.text]),
  };
}

void t.test('caption_extension gives each photo its own words, the prompt to those without', async (t) => {
  const dir = await tree({
    'a.png': 10,
    'a.txt': 'a photo of sks dog on grass\n',
    'b.png': 20,
    'c.png': 30,
    'c.txt': 'sks dog in a room\nsecond line',
  });
  const { pairs, lines } = await read(dir);
  t.strictSame(pairs, [
    [10, 'a photo of sks dog on grass'],
    [20, 'a photo of sks dog'],
    [30, 'sks dog in a room'],
  ]);
  t.strictSame(lines, [
    'warning: DIR: 1 picture without a .txt file, described by instance_prompt: a photo of sks dog (b.png)',
    'warning: DIR: 1 caption of several lines, of which the first is used (c.txt)',
    'dataset: 3 pictures of "a photo of sks dog" from DIR, with texts from .txt files',
  ]);
});

void t.test('captions of subfolders count where pictures do', async (t) => {
  const inside = await tree({ 'one/a.png': 1, 'one/a.caption': 'first', 'two/b.png': 2, 'two/b.caption': 'second' });
  t.strictSame((await read(inside, { caption_extension: '.caption' })).pairs, [
    [1, 'first'],
    [2, 'second'],
  ]);
  const beside = await tree({ 'a.png': 1, 'a.txt': 'first', 'sub/b.png': 2, 'sub/b.txt': 'second' });
  const { pairs, lines } = await read(beside);
  t.strictSame(pairs, [[1, 'first']]);
  t.equal(
    lines[0],
    'warning: DIR: 2 files of 4 are not used: 1 picture (sub/b.png): subfolders are read only where the folder itself has no pictures; 1 caption (sub/b.txt): caption_extension of a training dataset reads them',
  );
});

void t.test('captions that are not asked for are named, of the subject and of its class', async (t) => {
  const dir = await tree({ 'a.png': 1, 'a.txt': 'first' }),
    others = await tree({ 'x.png': 7, 'x.txt': 'seventh' });
  const { pairs, priors, lines } = await read(dir, {
    caption_extension: null,
    class_prompt: 'a photo of a dog',
    class_image: { ...CLASS, data_dir: others },
  });
  t.strictSame(pairs, [[1, 'a photo of sks dog']]);
  t.strictSame(priors, [[7, 'a photo of a dog']]);
  const how = 'are not used: 1 caption (NAME): caption_extension of a training dataset reads them';
  t.match(lines[0].replace('is not', 'are not'), how.replace('NAME', 'a.txt'));
  t.match(lines.join('\n').replaceAll('is not', 'are not'), how.replace('NAME', 'x.txt'));
});

void t.test('an extension that no caption has is refused', async (t) => {
  const dir = await tree({ 'a.png': 1, 'a.txt': 'first' });
  await t.rejects(read(dir, { caption_extension: '.caption' }), {
    message: `${dir}: caption_extension: no .caption file beside a picture; write a.caption, or remove caption_extension`,
  });
  const none = await tree({ 'a.parquet': '' });
  await t.rejects(read(none), {
    message: `${none}: caption_extension reads files beside picture files, of which it has none; remove caption_extension`,
  });
  await t.rejects(read(await tree({ 'notes.md': '' })), /: no pictures in it; put them beside their .txt files/);
});
