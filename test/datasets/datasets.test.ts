import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { ClassImageRequest, DatasetServices } from '../../src/datasets/dataset.js';
import { DreamBoothDataset } from '../../src/datasets/dreambooth-dataset.js';
import { ImageFolderDataset } from '../../src/datasets/image-folder-dataset.js';
import { image, readImage, writePng } from '../../src/datasets/image/picture-file.js';
import { Pipeline } from '../../src/datasets/pipeline.js';
import { CenterCrop } from '../../src/datasets/transforms/center-crop.js';
import { RandomCrop } from '../../src/datasets/transforms/random-crop.js';
import { Resize } from '../../src/datasets/transforms/resize.js';
import { ToTensor } from '../../src/datasets/transforms/to-tensor.js';
import { Transform, type TransformSample } from '../../src/datasets/transforms/transform.js';
import { UserError } from '../../src/base/errors.js';
import { Rng } from '../../src/base/rng.js';
import type { Build } from '../../src/registry/tokens.js';

const FIXTURES = 'test/fixtures/datasets',
  DOGS = 'assets/dog-drawings';
const stream = (i = 0) => new Rng(3).stream('data', i);
const folder = () => mkdtemp(join(tmpdir(), 'datasets-'));
/** Stands in for the container: these datasets build nothing but transforms. */
const build: Build = ((_registry: unknown, { type }: { type: string }) => {
  if (type === 'Resize') return new Resize({ size: 8, interpolation: 'bilinear' });
  return type === 'RandomCrop' ? new RandomCrop({ size: 6 }) : new ToTensor();
}) as Build;
const PIPELINE = [{ type: 'Resize', size: 8 }, { type: 'ToTensor' }];

function services(cacheDir: string, more: Partial<DatasetServices> = {}): DatasetServices & { lines: string[] } {
  const lines: string[] = [];
  const note = (line: string) => {
    lines.push(line);
  };
  return {
    logger: { info: note, warn: note, debug: note },
    cacheDir,
    seed: 11,
    modelFingerprint: (): string => 'base-1',
    resolveDataset: async (id) => id,
    lines,
    ...more,
  };
}

/** A model that paints each seed as one grey, and remembers what it was asked. */
function painter(stopAfter = Infinity) {
  const requests: ClassImageRequest[] = [];
  const generateClassImages = async (request: ClassImageRequest) => {
    requests.push(request);
    for (const [i, seed] of request.seeds.entries()) {
      if (i === stopAfter) throw new Error('stopped');
      await request.onImage(i, image(new Uint8Array(8 * 8 * 3).fill(seed), 8, 8));
    }
  };
  return { requests, generateClassImages };
}

type ClassImage = Partial<{
  model: string | null;
  num_images: number;
  data_dir: string | null;
  size: number;
  num_inference_steps: number;
  guidance_scale: number;
  guidance_rescale: number;
  seed: number | null;
}>;
const dreambooth = (
  dataset: string,
  class_prompt: string | null = null,
  class_image: ClassImage = {},
  pipeline: readonly Record<string, unknown>[] = PIPELINE,
) =>
  new DreamBoothDataset(
    {
      dataset,
      instance_prompt: 'a photo of sks dog',
      caption_extension: null,
      class_prompt,
      class_image: {
        model: null,
        num_images: 4,
        data_dir: null,
        size: 8,
        num_inference_steps: 50,
        guidance_scale: 7.5,
        guidance_rescale: 0,
        scheduler: null,
        seed: null,
        ...class_image,
      },
      pipeline: [...pipeline],
    },
    build,
  );

void t.test('DreamBooth reads a folder of pictures, sorted, all with the instance prompt', async (t) => {
  const dataset = dreambooth(DOGS),
    run = services(await folder());
  await dataset.prepare(run);
  t.equal(dataset.length, 5);
  t.equal(dataset.augmented, false);
  const { img, text, prior } = await dataset.get(0, stream());
  t.strictSame([img.dtype, img.shape, text, prior], ['float32', [3, 8, 8], 'a photo of sks dog', undefined]);
  t.strictSame(run.lines, ['dataset: 5 pictures of "a photo of sks dog" from assets/dog-drawings']);
});

void t.test('DreamBooth reads the pictures of parquet files, snappy or gzip', async (t) => {
  for (const codec of ['snappy', 'gzip']) {
    const dir = await folder();
    await mkdir(join(dir, 'data'));
    await cp(join(FIXTURES, `images-${codec}.parquet`), join(dir, 'data/train-0.parquet'));
    const dataset = dreambooth(dir);
    await dataset.prepare(services(dir));
    const red = await dataset.get(0, stream()),
      green = await dataset.get(1, stream());
    t.equal(dataset.length, 2);
    t.strictSame([red.img.data[0], red.img.data[64]], [1, 0]);
    t.strictSame([green.img.data[0], green.img.data[64]], [0, 1]);
  }
});

void t.test('pictures of the folder itself come before subfolders, and hidden files never', async (t) => {
  const dir = await folder();
  await mkdir(join(dir, 'sub'));
  await cp(join(FIXTURES, 'rgb.png'), join(dir, 'sub/a.png'));
  await cp(join(FIXTURES, 'rgb.png'), join(dir, 'sub/b.PNG'));
  await cp(join(FIXTURES, 'rgb.png'), join(dir, '.c.png'));
  const length = async () => {
    const d = dreambooth(dir);
    await d.prepare(services(dir));
    return d.length;
  };
  t.equal(await length(), 2);
  await cp(join(FIXTURES, 'photo.jpg'), join(dir, 'z.jpg'));
  t.equal(await length(), 1);
});

void t.test('an empty, absent or broken dataset is refused before training, by name', async (t) => {
  const dir = await folder(),
    run = services(dir);
  await t.rejects(
    dreambooth(dir).prepare(run),
    new UserError(
      `${dir}: no pictures in it (0 other files); put .png, .jpg, .webp, .gif, .bmp, .tif, .avif or .parquet files there`,
    ),
  );
  await t.rejects(dreambooth(join(dir, 'no')).prepare(run), {
    name: 'UserError',
    message: `${join(dir, 'no')}: cannot be opened as a folder (ENOENT); is the path right?`,
  });
  await writeFile(join(dir, 'x.parquet'), 'PAR1 but no more');
  await t.rejects(dreambooth(dir).prepare(run), /x\.parquet: not a readable parquet file/);
  await cp(join(FIXTURES, 'rgb.png'), join(dir, 'a.png'));
  await writeFile(join(dir, 'b.png'), 'no picture');
  await t.rejects(dreambooth(dir).prepare(run), /b\.png: not a readable picture/);
});

void t.test("a crop larger than the pictures is refused before training, with the picture's name", async (t) => {
  const dir = await folder();
  await writePng(join(dir, 'tiny.png'), image(new Uint8Array(3 * 3 * 3), 3, 3));
  await t.rejects(
    dreambooth(dir, null, {}, [{ type: 'RandomCrop', size: 6 }, { type: 'ToTensor' }]).prepare(services(dir)),
    new UserError(
      `${join(dir, 'tiny.png')}: RandomCrop: the picture is 3x3, smaller than the crop 6x6; put a Resize before it`,
    ),
  );
});

void t.test('class images are generated once, kept, topped up, and chosen by chance', async (t) => {
  const cache = await folder(),
    { requests, generateClassImages } = painter(),
    run = services(cache, { generateClassImages });
  const prepare = async (class_image: ClassImage = {}, extra: Partial<DatasetServices> = {}) => {
    const dataset = dreambooth(DOGS, 'a photo of dog', class_image);
    await dataset.prepare({ ...run, ...extra });
    return dataset;
  };
  const first = await prepare();
  t.strictSame(
    requests.map(({ prompt, seeds, size, model }) => ({ prompt, seeds, size, model })),
    [{ prompt: 'a photo of dog', seeds: [11, 12, 13, 14], size: { height: 8, width: 8 }, model: undefined }],
  );
  const greys = new Set<number>();
  for (let i = 0; i < 60; i++) {
    const { prior } = await first.get(0, stream(i));
    t.equal(prior?.text, 'a photo of dog');
    greys.add(Math.round(Number(prior!.img.data[0]) * 255));
  }
  t.strictSame([...greys].sort(), [11, 12, 13, 14]);

  await prepare();
  t.equal(requests.length, 1, 'nothing to do the second time');
  await prepare({ num_images: 6 });
  t.strictSame(requests[1].seeds, [15, 16], 'only what is missing');
  await prepare({ num_images: 2 });
  t.equal(requests.length, 2, 'fewer: nothing made, nothing deleted');
  const [key] = await readdir(join(cache, 'class-images'));
  t.equal((await readdir(join(cache, 'class-images', key))).length, 7, 'six pictures and the request');

  await prepare({}, { modelFingerprint: (): string => 'base-2' });
  await prepare({}, { seed: 12 });
  await prepare({ size: 16 });
  t.equal((await readdir(join(cache, 'class-images'))).length, 4, 'another model, seed or size is another folder');
  await prepare({ seed: 11 }, { seed: 99 });
  t.equal(requests.length, 5, "a seed of their own: the run's seed no longer matters");
  await prepare({ guidance_rescale: 0.7 });
  t.strictSame(
    requests.map(({ guidance, rescale }) => [guidance, rescale]),
    [...Array.from({ length: 5 }, () => [7.5, undefined]), [7.5, 0.7]],
  );
  t.equal((await readdir(join(cache, 'class-images'))).length, 5, 'a rescaled guidance is another folder');
});

void t.test('an interrupted generation goes on where it stopped', async (t) => {
  const cache = await folder(),
    interrupted = painter(3),
    second = painter();
  await t.rejects(dreambooth(DOGS, 'a dog').prepare(services(cache, interrupted)), { message: 'stopped' });
  await dreambooth(DOGS, 'a dog').prepare(services(cache, second));
  t.strictSame(second.requests[0].seeds, [14]);
  const [key] = await readdir(join(cache, 'class-images'));
  t.equal((await readImage(join(cache, 'class-images', key, '0003.png'))).data[0], 14);
  t.strictSame(JSON.parse(await readFile(join(cache, 'class-images', key, 'request.json'), 'utf8')), {
    prompt: 'a dog',
    seed: 11,
    height: 8,
    width: 8,
    steps: 50,
    guidance: 7.5,
  });
});

void t.test(
  'own class images are used as they are; without them and without a model the error says what to do',
  async (t) => {
    const cache = await folder(),
      { requests, generateClassImages } = painter();
    const own = dreambooth(DOGS, 'a dog', { data_dir: DOGS });
    await own.prepare(services(cache, { generateClassImages }));
    t.strictSame((await own.get(1, stream())).prior?.img.shape, [3, 8, 8]);
    t.equal(requests.length, 0);
    await t.rejects(
      dreambooth(DOGS, 'a dog').prepare(services(cache)),
      new UserError(
        'class_prompt: 4 of 4 class images are missing and nothing here can generate them; give your own with class_image.data_dir',
      ),
    );
  },
);

/** Counts how often it runs. */
class Counting extends Transform {
  runs = 0;
  constructor(override readonly random: boolean) {
    super();
  }
  override apply(sample: TransformSample): TransformSample {
    this.runs++;
    return sample;
  }
}

void t.test('a pipeline does once what chance cannot change, and gives the same as without memory', async (t) => {
  const fixed = new Counting(false),
    chance = new Counting(true),
    later = new Counting(false);
  let loads = 0;
  const picture = await readImage(join(DOGS, '01-meadow.png'));
  const source = {
    name: 'a',
    load: async () => {
      loads++;
      return picture;
    },
  };
  const make = () =>
    new Pipeline([fixed, new CenterCrop({ size: 20 }), chance, new RandomCrop({ size: 6 }), later, new ToTensor()]);
  const pipeline = make();
  const first = await pipeline.run(source, 'x', stream(1)),
    second = await pipeline.run(source, 'x', stream(2));
  t.strictSame([loads, fixed.runs, chance.runs, later.runs], [1, 1, 2, 2]);
  t.equal(pipeline.random, true);
  t.notSame(first.img, second.img);
  t.strictSame(await make().run(source, 'x', stream(2)), second);
  t.equal((await pipeline.run(source, 'y', stream(2))).text, 'y', 'one picture may have two texts');
});

void t.test('a pipeline that does not end in float32 channels first is refused', async (t) => {
  const source = { name: 'a.png', load: () => readImage(join(DOGS, '01-meadow.png')) };
  await t.rejects(
    new Pipeline([new CenterCrop({ size: 4 })]).run(source, '', stream()),
    new UserError(
      'a.png: pipeline: ends with uint8 [4,4,3] instead of float32 [3, H, W]; end it with ToTensor, Normalize, PackInputs',
    ),
  );
});

const imageFolder = (dataset: string, more: Partial<ConstructorParameters<typeof ImageFolderDataset>[0]> = {}) =>
  new ImageFolderDataset(
    {
      dataset,
      csv: 'metadata.csv',
      image_column: 'file_name',
      caption_column: 'text',
      caption_extension: null,
      repeats: 'none',
      check_pictures: null,
      pipeline: [...PIPELINE],
      ...more,
    },
    build,
  );

void t.test('an image folder takes texts from a csv or jsonl table, columns by name', async (t) => {
  const dir = await folder();
  await cp(join(FIXTURES, 'rgb.png'), join(dir, 'img/a.png'), { recursive: true });
  await cp(join(FIXTURES, 'photo.jpg'), join(dir, 'b.jpg'));
  await writeFile(join(dir, 'metadata.csv'), '\ufefffile_name,text\nimg/a.png,"red, with a ""quote"""\n\nb.jpg,\n');
  await writeFile(
    join(dir, 'other.jsonl'),
    '{"image":"b.jpg","caption":"second"}\n{"image":"img/a.png","caption":"first"}\n',
  );
  const table = imageFolder(dir),
    lines = imageFolder(dir, { csv: 'other.jsonl', image_column: 'image', caption_column: 'caption' });
  const texts = async (dataset: ImageFolderDataset) => {
    await dataset.prepare(services(dir));
    return Promise.all(Array.from({ length: dataset.length }, async (_, i) => (await dataset.get(i, stream())).text));
  };
  t.strictSame(await texts(table), ['red, with a "quote"', '']);
  t.strictSame(await texts(lines), ['second', 'first']);
});

void t.test('mistakes in the table are named with their line', async (t) => {
  const dir = await folder(),
    table = join(dir, 'metadata.csv');
  await cp(join(FIXTURES, 'rgb.png'), join(dir, 'a.png'));
  const refuses = async (content: string | undefined, message: string | RegExp, csv = 'metadata.csv') => {
    await rm(table, { force: true });
    if (content !== undefined) await writeFile(join(dir, csv), content);
    const error: unknown = await imageFolder(dir, { csv })
      .prepare(services(dir))
      .then(
        () => undefined,
        (error: unknown) => error,
      );
    t.ok(error instanceof UserError, String(error));
    t.match((error as Error).message, message);
  };
  await refuses(undefined, `${table}: cannot be read (ENOENT); write one with the columns file_name and text`);
  await refuses('file_name,text\n', `${table}: no rows; write one per picture`);
  await refuses(
    'file,text\na.png,x\n',
    `${table} line 2: no column "file_name"; it has file, text (options image_column, caption_column)`,
  );
  await refuses(
    'file_name,text\na.png,x\nb.png,y\n',
    `${table} line 3: no such picture, ${join(dir, 'b.png')}; correct the name or remove the row`,
  );
  await refuses(
    'file_name,text\nhttps://host/a.png,x\n',
    `${table} line 2: https://host/a.png is an address; download the picture, and name the file`,
  );
  await refuses('file_name,text\na.png,x\n,y\n', `${table} line 3: file_name is empty; name a file`);
  await refuses(
    'file_name,text\na.png,one, two\n',
    /metadata\.csv: .*line 2.*; each row has a value for each column; put quotes around a text that contains commas$/,
  );
  await refuses(
    '{"file_name":"a.png","text":"x"}\n{"file_name"\n',
    /rows\.jsonl line 2: .*; each line is a JSON object of its own$/,
    'rows.jsonl',
  );
  await refuses(
    '{"file_name":"a.png","text":3}\n',
    /rows\.jsonl line 1: "text" is no text but 3; it has file_name, text/,
    'rows.jsonl',
  );
});
