/** Encodings on disk: what a run reads is what another wrote, bit for bit, or it is encoded again. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { keepEncodings } from '../../src/engine/keep-encodings.js';
import { EncodingCache } from '../../src/sampling/encoding-cache.js';
import { EncodingStore } from '../../src/sampling/encoding-store.js';
import { float32, floats } from '../../src/tensor/host.js';
import { Lines } from '../fixtures/engine/linear-run.js';

const tensor = (seed: number, shape: readonly number[]) =>
  float32(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed + i)),
    shape,
  );
const MEAN = tensor(1, [4, 2, 3]),
  LOGVAR = tensor(2, [4, 2, 3]);

void t.test('what one cache has set, another on the same folder gets', async (t) => {
  const folder = t.testdir(),
    log = new Lines();
  const first = new EncodingCache(),
    second = new EncodingCache(),
    alone = new EncodingCache();
  first.keepOn(new EncodingStore(folder, log));
  second.keepOn(new EncodingStore(folder, log));
  await first.set('picture', 'a', [MEAN, LOGVAR]);
  const [mean, logvar] = (await second.get('picture', 'a')) ?? [];
  t.strictSame([mean.shape, logvar.shape], [MEAN.shape, LOGVAR.shape]);
  t.strictSame([floats(mean), floats(logvar)], [floats(MEAN), floats(LOGVAR)]);
  t.equal(await second.get('text', 'a'), undefined, 'of another kind');
  t.equal(await second.get('picture', 'b'), undefined);
  t.equal(await alone.get('picture', 'a'), undefined, 'not asked to look there');
  second.share();
  await second.get('picture', 'a');
  t.equal(second.take().length, 0, 'ranks are not sent what was in memory');
  t.strictSame(log.lines, []);
});

void t.test('a damaged file is told, and written again', async (t) => {
  const folder = t.testdir(),
    log = new Lines(),
    cache = new EncodingCache();
  await new EncodingStore(folder, log).write('picture a', [MEAN]);
  const [file] = await readdir(folder);
  await writeFile(join(folder, file), 'cut');
  cache.keepOn(new EncodingStore(folder, log));
  t.equal(await cache.get('picture', 'a'), undefined);
  t.match(log.lines, [new RegExp(`${file}.*; encoding again what was in it`)]);
  await cache.set('picture', 'a', [MEAN]);
  t.strictSame((await new EncodingStore(folder, log).read('picture a'))?.map(floats), [floats(MEAN)]);
});

void t.test('what does not fit or cannot be written is told once, and the run goes on', async (t) => {
  const folder = t.testdir({ file: '' }),
    log = new Lines();
  const small = new EncodingStore(join(folder, 'small'), log, 150);
  for (const key of ['a', 'b', 'c']) await small.write(key, [MEAN]); // 96 bytes each
  t.equal((await readdir(join(folder, 'small'))).length, 1);
  t.equal(log.lines.length, 1);
  t.match(log.lines[0], /full for this run/);
  const blocked = new EncodingStore(join(folder, 'file', 'in'), log);
  await blocked.write('a', [MEAN]);
  await blocked.write('b', [MEAN]);
  t.equal(log.lines.length, 2);
  t.match(log.lines[1], /this one goes on without keeping them/);
});

void t.test('large models keep encodings, each in a folder of its own', async (t) => {
  const cacheDir = t.testdir();
  const wrote = async (frozen: number, fingerprint: string, backend = 'onnxruntime cpu'): Promise<string[]> => {
    const encodings = new EncodingCache();
    const model = { counts: { frozen, trainable: 10 }, fingerprint, encodings };
    keepEncodings({ model, backend: { name: backend }, config: {}, datasetServices: { cacheDir }, log: new Lines() });
    await encodings.set('picture', 'a', [MEAN]);
    return readdir(join(cacheDir, 'encodings')).catch(() => []);
  };
  await mkdir(cacheDir, { recursive: true });
  t.equal((await wrote(1e6, 'one')).length, 0, 'a small one encodes as fast as it reads');
  t.equal((await wrote(6e7, 'one')).length, 1);
  t.equal((await wrote(6e7, 'one')).length, 1);
  t.equal((await wrote(6e7, 'two')).length, 2);
  t.equal((await wrote(6e7, 'two', 'onnxruntime webgpu')).length, 3);
});
