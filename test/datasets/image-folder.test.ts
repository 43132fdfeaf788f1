import { cp, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { DatasetServices } from '../../src/datasets/dataset.js';
import { ImageFolderDataset } from '../../src/datasets/image-folder-dataset.js';
import { folderSources } from '../../src/datasets/sources.js';
import { ToTensor } from '../../src/datasets/transforms/to-tensor.js';
import type { Build } from '../../src/registry/tokens.js';
import { greyOf, samplesOf, services, tree } from './tree.js';

type Tap = Pick<typeof t, 'match'>;
type Options = ConstructorParameters<typeof ImageFolderDataset>[0];
const build: Build = (() => new ToTensor()) as Build;
const PICTURES = 'test/fixtures/datasets/pictures';

/** What was said, and grey and text of each sample of a round. */
async function read(dataset: string, more: Partial<Options> = {}, extra: Partial<DatasetServices> = {}) {
  const set = new ImageFolderDataset(
      {
        dataset,
        csv: 'metadata.csv',
        image_column: 'file_name',
        caption_column: 'text',
        caption_extension: null,
        repeats: 'none',
        check_pictures: null,
        pipeline: [{ type: 'ToTensor' }],
        ...more,
      },
      build,
    ),
    run = services(extra);
  await set.prepare(run);
  return {
    lines: run.lines.map((line) => line.replaceAll(dataset, 'DIR')),
    samples: (await samplesOf(set)).map(({ img, text }) => [greyOf(img), text]),
  };
}
const refuses = async (t: Tap, dataset: string, message: string | RegExp, more: Partial<Options> = {}) => {
  const error: unknown = await read(dataset, more).then(
    () => undefined,
    (error: unknown) => error,
  );
  t.match(error, { name: 'UserError' });
  t.match((error as Error | undefined)?.message.replaceAll(dataset, 'DIR'), message);
};

void t.test("kohya's folders: captions beside the pictures, repeats from the folder's name", async (t) => {
  const dir = await tree({
    '10_sks dog/0.png': 10,
    '10_sks dog/0.txt': '\uFEFFsks dog, sitting\n',
    '10_sks dog/deep/1.png': 20,
    '2_a cat/2.PNG': 30,
    '2_a cat/2.txt': 'a cat\nin the sun',
    '2_a cat/lost.txt': 'no picture',
    'apart/3.png': 40,
    'apart/3.txt': '',
  });
  const { lines, samples } = await read(dir, { caption_extension: '.txt', repeats: 'folder_name' });
  t.strictSame(samples, [
    ...Array.from({ length: 10 }, () => [10, 'sks dog, sitting']),
    ...Array.from({ length: 10 }, () => [20, 'sks dog']),
    ...Array.from({ length: 2 }, () => [30, 'a cat']),
    [40, ''],
  ]);
  t.strictSame(lines, [
    'warning: DIR: 1 picture without a .txt file, described by the words of the folder (10_sks dog/deep/1.png)',
    'warning: DIR: 1 caption without text (apart/3.txt)',
    'warning: DIR: 1 caption of several lines, of which the first is used (2_a cat/2.txt)',
    'warning: DIR: 1 file of 8 is not used: 1 other (2_a cat/lost.txt)',
    'warning: DIR: 1 picture in folders without a number, seen once (apart/3.png)',
    'dataset: 4 pictures with texts from .txt files in DIR, 23 with repeats',
  ]);
});

void t.test('without repeats a numbered folder counts once, and a line says so; a year is no number', async (t) => {
  const files = { '3_x/a.png': 1, '3_x/a.caption': 'one' };
  const { lines, samples } = await read(await tree(files), { caption_extension: '.caption' });
  t.strictSame(samples, [[1, 'one']]);
  t.match(lines[0], 'warning: DIR: the number of "3_x" does not repeat its pictures; repeats: folder_name does');
  const year = await read(await tree({ '2023_x/a.png': 1, '2023_x/a.txt': 'one' }), { caption_extension: '.txt' });
  t.strictSame(year.lines, ['dataset: 1 picture with texts from .txt files in DIR']);
});

void t.test('the folder itself may have the number', async (t) => {
  const dir = join(await tree({ '4_sks dog/a.png': 5 }), '4_sks dog');
  const { samples } = await read(dir, { caption_extension: '.txt', repeats: 'folder_name' });
  t.strictSame(
    samples,
    Array.from({ length: 4 }, () => [5, 'sks dog']),
  );
});

void t.test('captions and repeats that cannot be meant are refused by name', async (t) => {
  const beside = { caption_extension: '.txt' } as const;
  await refuses(
    t,
    await tree({ 'a.png': 1, 'b.png': 2, 'b.txt': 'b', 'c/d.png': 3 }),
    'DIR: 2 of 3 pictures without a .txt file (a.png, c/d.png); write a.txt, or move the picture away',
    beside,
  );
  await refuses(t, await tree({ 'a.txt': 'x' }), 'DIR: no pictures in it; put them beside their .txt files', beside);
  await refuses(t, await tree({ 'a.png': 1, 'a.txt': 'x' }), /both set; remove one/, { ...beside, csv: 'x.csv' });
  const numbers = { ...beside, repeats: 'folder_name' } as const;
  await refuses(t, await tree({ 'a.png': 1, 'a.txt': 'x' }), /no folder in it has a number/, numbers);
  await refuses(
    t,
    await tree({ '0_a/a.png': 1, '0_a/a.txt': 'x' }),
    /"0_a" says 0 repeats; rename the folder/,
    numbers,
  );
  await refuses(t, await tree({ '99999_a/a.png': 1, '99999_a/a.txt': 'x' }), /says 99999 repeats/, numbers);
  const latin = await tree({ 'a.png': 1 });
  await writeFile(join(latin, 'a.txt'), Buffer.from('caf\xe9', 'latin1'));
  await refuses(t, latin, 'DIR/a.txt line 1: not UTF-8: byte 0xE9, which is "é" in Windows-1252 (latin-1)', beside);
});

void t.test('a table finds absolute paths and separators of Windows, and says what it leaves', async (t) => {
  const other = await tree({ 'far.png': 9 });
  const dir = await tree({ 'sub/a.png': 1, 'b.png': 2, 'c.png': 3, 'b.txt': 'x', 'IMG_1.HEIC': 'x', 'README.md': '' });
  await writeFile(
    join(dir, 'metadata.csv'),
    `file_name,text,width\n${join(other, 'far.png')},far,1\nsub\\a.png,deep,2\nb.png,one,3\nb.png,two,4\n`,
  );
  const { lines, samples } = await read(dir);
  t.strictSame(samples, [
    [9, 'far'],
    [1, 'deep'],
    [2, 'one'],
    [2, 'two'],
  ]);
  t.strictSame(lines, [
    'warning: DIR/metadata.csv: 1 column not used: width',
    'warning: DIR/metadata.csv: 1 picture in several rows, each of which counts (b.png)',
    'warning: DIR: 3 files of 7 are not used: 1 picture (c.png): not in metadata.csv; 1 picture (IMG_1.HEIC) of a kind that is not read: save as .png or .jpg; 1 caption (b.txt): read with caption_extension',
    'dataset: 4 pictures with texts from metadata.csv in DIR',
  ]);
});

void t.test('a missing table says where texts are; missing pictures are named together', async (t) => {
  await refuses(
    t,
    await tree({ 'a.png': 1, 'train.jsonl': '' }),
    'DIR/metadata.csv: cannot be read (ENOENT); there is train.jsonl (option csv)',
  );
  await refuses(
    t,
    await tree({ 'a.png': 1, 'a.caption': '' }),
    'DIR/metadata.csv: cannot be read (ENOENT); there are captions like a.caption (option caption_extension: ".caption")',
  );
  const table = 'file_name,text\na.png,x\nb.png,y\nsub,z\n';
  await refuses(
    t,
    await tree({ 'a.png': 1, 'sub/c.png': 2, 'metadata.csv': table }),
    'DIR/metadata.csv: 2 of 3 pictures are not there (b.png in line 3, sub in line 4); correct the names or remove the rows',
  );
  await refuses(
    t,
    await tree({ 'a.png': 1, 'metadata.jsonl': '{"file_name":"a.png","text":null}' }),
    'DIR/metadata.jsonl line 1: "text" is no text but null; it has file_name, text (options image_column, caption_column)',
    { csv: 'metadata.jsonl' },
  );
});

void t.test('all broken pictures are found before training and named together, by reason', async (t) => {
  const rows = ['a.png', 'cut1.jpg', 'cut2.jpg', 'lfs.png'].map((name) => `${name},x\n`).join('');
  const dir = await tree({
    'a.png': 1,
    'lfs.png': 'version https://git-lfs.github.com/spec/v1\n',
    'cut1.jpg': '\xff',
    'cut2.jpg': '\xff',
    'metadata.csv': `file_name,text\n${rows}`,
  });
  await refuses(
    t,
    dir,
    /^3 of 4 pictures cannot be used: DIR\/cut1\.jpg, DIR\/cut2\.jpg: not a readable picture \(2 bytes, .*\. DIR\/lfs\.png: a Git LFS pointer/,
  );
  await t.resolves(read(dir, { check_pictures: 1 }).catch((error: Error) => t.match(error.message, /cut[12]\.jpg/)));
});

void t.test('a check can be limited by the config and by the caller, and stops with the run', async (t) => {
  const files = { 'a.png': 1, 'b.png': 'broken', 'metadata.csv': 'file_name,text\na.png,x\nb.png,y\n' };
  const dir = await tree(files);
  const prepare = (more: Partial<Options>, extra: Partial<DatasetServices> = {}) => {
    const options = {
      image_column: 'file_name',
      caption_column: 'text',
      caption_extension: null,
      repeats: 'none',
    } as const;
    const pipeline = [{ type: 'ToTensor' }];
    return new ImageFolderDataset(
      { dataset: dir, csv: 'metadata.csv', check_pictures: null, pipeline, ...options, ...more },
      build,
    ).prepare(services(extra));
  };
  await t.rejects(prepare({}), /b\.png: not a readable picture/);
  await t.rejects(prepare({ check_pictures: 2 }), /b\.png: not a readable picture/);
  await t.resolves(prepare({ check_pictures: 1 }));
  await t.resolves(prepare({}, { checkPictures: 1 }));
  await t.resolves(prepare({}, { signal: AbortSignal.abort() }));
});

void t.test('a folder of pictures reads every kind, through links, and names what it leaves', async (t) => {
  const dir = await tree({ 'b.png': 1, 'sub/g.png': 2, 'notes.md': '', 'x.HEIC': '', 'b.txt': '', '.hidden.png': 3 });
  for (const name of ['grey.gif', 'rgb.bmp', 'rgb.tif', 'full.avif', 'lossy.webp', 'grey.jpg'])
    await cp(join(PICTURES, name), join(dir, name.replace('.jpg', '.JFIF')));
  const run = services();
  t.strictSame(
    (await folderSources(dir, run.logger)).map(({ name }) => name.slice(dir.length + 1)),
    ['b.png', 'full.avif', 'grey.JFIF', 'grey.gif', 'lossy.webp', 'rgb.bmp', 'rgb.tif'],
  );
  t.strictSame(run.lines, [
    `warning: ${dir}: 4 files of 11 are not used: 1 picture (sub/g.png): subfolders are read only where the folder itself has no pictures; 1 picture (x.HEIC) of a kind that is not read: save as .png or .jpg; 1 caption (b.txt): caption_extension of a training dataset reads them; 1 other (notes.md)`,
  ]);
  const linked = await tree({ 'x.md': '' });
  await symlink(join(dir, 'sub'), join(linked, 'there'));
  await symlink(linked, join(linked, 'round'));
  t.equal((await folderSources(linked, services().logger)).length, 1);
  const iphone = await tree({ 'IMG_1.HEIC': '', 'IMG_2.HEIC': '' });
  await t.rejects(folderSources(iphone, services().logger), {
    message: `${iphone}: no pictures in it that are read (2 like IMG_1.HEIC); save them as .png or .jpg`,
  });
});
