import { copyFile, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { image, writePng } from '../../src/datasets/image/picture-file.js';
import { parquetSources } from '../../src/datasets/parquet.js';

const PARQUET = 'test/fixtures/datasets/parquet';
const firstPixels = async (path: string) =>
  Promise.all((await parquetSources(path)).map(async ({ load }) => [...(await load()).data.subarray(0, 3)]));
const RED_GREEN = [
  [255, 0, 0],
  [0, 255, 0],
];

void t.test('pictures come out of every compression, and of plain bytes as of bytes and path', async (t) => {
  for (const name of ['none', 'snappy', 'gzip', 'brotli', 'zstd', 'lz4', 'bytes', 'large-bytes', 'dictionary', 'delta'])
    t.strictSame(await firstPixels(join(PARQUET, `${name}.parquet`)), RED_GREEN, name);
});

void t.test('a row that only names its file is read from beside the table', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'parquet-'));
  await copyFile(join(PARQUET, 'path.parquet'), join(dir, 'train.parquet'));
  await writePng(join(dir, 'red.png'), image(Uint8Array.of(255, 0, 0), 1, 1));
  await writePng(join(dir, 'green.png'), image(Uint8Array.of(0, 255, 0), 1, 1));
  t.strictSame(await firstPixels(join(dir, 'train.parquet')), RED_GREEN);
});

void t.test('rows without a picture, other columns, and files that are none are named', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'parquet-')),
    lines: string[] = [];
  const log = { info: () => {}, warn: (line: string) => void lines.push(line), debug: () => {} };
  await t.rejects(parquetSources(join(PARQUET, 'null.parquet')), {
    message: `${PARQUET}/null.parquet row 1: null in the column image; download the dataset with its images embedded`,
  });
  await t.rejects(parquetSources(join(PARQUET, 'text.parquet')), /text\.parquet row 0: a string in the column image/);
  await parquetSources(join(PARQUET, 'zstd.parquet'), log);
  t.strictSame(lines, [`${PARQUET}/zstd.parquet: 1 column not used: text`]);
  await writeFile(join(dir, 'x.parquet'), 'version https://git-lfs.github.com/spec/v1\nsize 9\n');
  await t.rejects(parquetSources(join(dir, 'x.parquet')), /a Git LFS pointer, not the parquet file \(50 bytes\)/);
  await writeFile(join(dir, 'y.parquet'), 'PAR1 but no more');
  await t.rejects(
    parquetSources(join(dir, 'y.parquet')),
    /y\.parquet: not a readable parquet file .*; download it again/,
  );
});
