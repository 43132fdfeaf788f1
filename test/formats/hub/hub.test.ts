import { existsSync } from 'node:fs';
import { lstat, mkdir, readdir, readFile, readlink, realpath, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import { resolveDataset, resolveModel, type DownloadProgress } from '../../../src/formats/hub/hub.js';
import { datasetFiles, modelFiles } from '../../../src/formats/hub/hub-files.js';
import { gitSha1, HubServer, sha256 } from '../../fixtures/formats/hub-server.js';

const weights = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251));
const PIPELINE: Record<string, Buffer | string> = {
  'model_index.json': '{"_class_name":"StableDiffusionPipeline"}',
  'README.md': 'no',
  'v1-5-pruned.safetensors': 'no',
  'unet/config.json': '{"a":1}',
  'unet/diffusion_pytorch_model.safetensors': weights,
  'unet/diffusion_pytorch_model.bin': 'no',
  'unet/diffusion_pytorch_model.fp16.safetensors': 'no',
  'safety_checker/model.safetensors': 'no',
  'tokenizer/merges.txt': '#version',
  'tokenizer/vocab.json': '{}',
};
const WANTED = [
  'model_index.json',
  'tokenizer/merges.txt',
  'tokenizer/vocab.json',
  'unet/config.json',
  'unet/diffusion_pytorch_model.safetensors',
];
const UNET = 'unet/diffusion_pytorch_model.safetensors',
  BLOB = sha256(weights);

const server = new HubServer();
t.before(async () => {
  for (const name of ['HF_HUB_OFFLINE', 'HF_TOKEN', 'HF_HOME', 'HF_HUB_CACHE']) delete process.env[name];
  process.env.HF_ENDPOINT = `${await server.start()}/`;
});
t.teardown(() => server.stop());
t.beforeEach(() => {
  server.add('models/owner/small-sd', PIPELINE);
  server.requests.length = 0;
  server.ranges = true;
});

/** Options of a test: its own cache, no waiting, and what was logged. */
function setUp(t: Test, cacheDir = join(t.testdir(), 'hub')) {
  const lines: string[] = [],
    say = (level: string) => (line: string) => void lines.push(`${level}: ${line}`);
  return {
    lines,
    storage: join(cacheDir, 'models--owner--small-sd'),
    options: { cacheDir, retryDelayMs: 1, log: { info: say('info'), warn: say('warn'), debug: say('debug') } },
  };
}

void t.test('a pipeline is downloaded into the standard cache, only the files needed, and once', async (t) => {
  const { storage, options, lines } = setUp(t),
    seen: DownloadProgress[] = [];
  const folder = await resolveModel('owner/small-sd', { ...options, progress: (p) => seen.push(p) });
  t.equal(folder, join(storage, 'snapshots', server.commit));
  t.strictSame((await readdir(folder, { recursive: true })).filter((p) => p.includes('.')).sort(), [...WANTED].sort());
  t.strictSame(server.downloads().sort(), [...WANTED].sort());
  t.ok((await readFile(join(folder, UNET))).equals(weights));
  t.equal(
    await readlink(join(folder, UNET)),
    `../../../blobs/${BLOB}`,
    'LFS files are named by sha256, with relative links',
  );
  t.equal(
    await readlink(join(folder, 'unet', 'config.json')),
    `../../../blobs/${gitSha1(Buffer.from('{"a":1}'))}`,
    'others by git hash',
  );
  t.equal(await readFile(join(storage, 'refs', 'main'), 'utf8'), server.commit);
  t.strictSame([seen.at(-1)!.loadedBytes, seen.at(-1)!.files], [seen.at(-1)!.totalBytes, 5]);
  t.match(lines, [/^info: owner\/small-sd: downloading 5 files, 0.3 MB, into /]);

  server.requests.length = 0;
  t.equal(await resolveModel('owner/small-sd', options), folder);
  t.strictSame(server.downloads(), [], 'nothing again');
});

void t.test('an interrupted download goes on where it stopped, in this run and in the next', async (t) => {
  const { storage, options } = setUp(t);
  server.breaks.set(UNET, [100_000, 200_000]);
  await resolveModel('owner/small-sd', options);
  t.strictSame(
    server.downloads().filter((d) => d.startsWith(UNET)),
    [UNET, `${UNET} bytes=100000-`, `${UNET} bytes=200000-`],
  );

  await rm(storage, { recursive: true });
  await mkdir(join(storage, 'blobs'), { recursive: true });
  await writeFile(join(storage, 'blobs', `${BLOB}.incomplete`), weights.subarray(0, 123_456));
  server.requests.length = 0;
  const seen: DownloadProgress[] = [];
  const folder = await resolveModel('owner/small-sd', { ...options, progress: (p) => seen.push(p) });
  t.strictSame(
    server.downloads().filter((d) => d.startsWith(UNET)),
    [`${UNET} bytes=123456-`],
  );
  t.ok((await readFile(join(folder, UNET))).equals(weights));
  t.equal(seen.at(-1)!.loadedBytes, seen.at(-1)!.totalBytes, 'what was there counts');
  t.strictSame(
    (await readdir(join(storage, 'blobs'))).filter((n) => n.includes('incomplete')),
    [],
  );
});

void t.test('a download that never gets further gives up, keeps its part and says how to go on', async (t) => {
  const { storage, options } = setUp(t);
  server.breaks.set(UNET, Array(6).fill(50_000) as number[]);
  await t.rejects(resolveModel('owner/small-sd', options), {
    name: 'UserError',
    message:
      /the download breaks off at 50000 of 300000 bytes \(.+\); run the same command again, it goes on from there/,
  });
  t.equal((await lstat(join(storage, 'blobs', `${BLOB}.incomplete`))).size, 50_000);
  t.notOk(existsSync(join(storage, 'refs', 'main')), 'an unfinished snapshot has no name');
  await t.rejects(resolveModel('owner/small-sd', { ...options, offline: true }), { message: /not in the cache/ });
  server.breaks.clear();
  t.ok(await resolveModel('owner/small-sd', options));
});

void t.test('a server without ranges, or with a longer part on disk than the file, starts over', async (t) => {
  for (const part of [weights.subarray(0, 1000), Buffer.concat([weights, weights])]) {
    const { storage, options } = setUp(t);
    server.ranges = false;
    await mkdir(join(storage, 'blobs'), { recursive: true });
    await writeFile(join(storage, 'blobs', `${BLOB}.incomplete`), part);
    t.ok((await readFile(join(await resolveModel('owner/small-sd', options), UNET))).equals(weights));
    await rm(storage, { recursive: true });
  }
});

void t.test('a part that is longer than what the server has is given up', async (t) => {
  const { storage, options } = setUp(t);
  await mkdir(join(storage, 'blobs'), { recursive: true });
  await writeFile(join(storage, 'blobs', `${BLOB}.incomplete`), weights.subarray(0, 2000));
  server.lies.set(UNET, [weights.subarray(0, 1000)]); // answers 416 to a range from 2000
  t.ok((await readFile(join(await resolveModel('owner/small-sd', options), UNET))).equals(weights));
  t.strictSame(
    server.downloads().filter((d) => d.startsWith(UNET)),
    [`${UNET} bytes=2000-`, UNET],
  );
});

void t.test('altered content is detected: a bad part is fetched anew, a bad server is refused', async (t) => {
  const { storage, options } = setUp(t),
    bad = Buffer.from(weights);
  bad[5] ^= 1;
  await mkdir(join(storage, 'blobs'), { recursive: true });
  await writeFile(join(storage, 'blobs', `${BLOB}.incomplete`), bad.subarray(0, 1000));
  t.ok((await readFile(join(await resolveModel('owner/small-sd', options), UNET))).equals(weights));

  await rm(storage, { recursive: true });
  server.lies.set(UNET, [bad, bad]);
  await t.rejects(resolveModel('owner/small-sd', options), {
    name: 'UserError',
    message: new RegExp(`does not fit its checksum \\(sha256 ${sha256(bad)}, expected ${BLOB}\\)`),
  });
  t.notOk(existsSync(join(storage, 'blobs', BLOB)));
  t.notOk(existsSync(join(storage, 'blobs', `${BLOB}.incomplete`)));

  await rm(storage, { recursive: true });
  server.lies.set('unet/config.json', [Buffer.from('{"a":2}'), Buffer.from('{"a":2}')]);
  await t.rejects(resolveModel('owner/small-sd', options), { message: /does not fit its checksum \(git-sha1 / });
  await rm(storage, { recursive: true });
  server.lies.set(UNET, [Buffer.concat([weights, weights])]);
  await t.rejects(resolveModel('owner/small-sd', options), {
    name: 'UserError',
    message: /sends more than the 300000 bytes announced/,
  });
});

void t.test('two runs that need the same model at the same time both get it', async (t) => {
  const { storage, options } = setUp(t);
  const folders = await Promise.all(Array.from({ length: 4 }, () => resolveModel('owner/small-sd', options)));
  t.strictSame(new Set(folders), new Set([join(storage, 'snapshots', server.commit)]));
  for (const path of WANTED) t.ok((await readFile(join(folders[0], path))).equals(Buffer.from(PIPELINE[path])), path);
  t.strictSame(
    (await readdir(join(storage, 'blobs'))).filter((n) => n.includes('incomplete')),
    [],
  );
});

void t.test('offline and unreachable hubs fall back to the cache, or say what to do', async (t) => {
  const { options, lines } = setUp(t),
    endpoint = process.env.HF_ENDPOINT;
  t.teardown(() => {
    process.env.HF_ENDPOINT = endpoint;
    delete process.env.HF_HUB_OFFLINE;
    server.status.clear();
  });
  process.env.HF_HUB_OFFLINE = '1';
  await t.rejects(resolveModel('owner/small-sd', options), {
    name: 'UserError',
    message:
      /owner\/small-sd: no such folder, and not in the cache .* while offline \(HF_HUB_OFFLINE\); download it once, or give a local folder/,
  });
  t.strictSame(server.requests, []);
  delete process.env.HF_HUB_OFFLINE;
  process.env.HF_ENDPOINT = 'http://127.0.0.1:1';
  await t.rejects(resolveModel('owner/small-sd', options), {
    name: 'UserError',
    message:
      /the hub at http:\/\/127.0.0.1:1 cannot be reached \(\w[^)]*\); give a local folder, set HF_ENDPOINT to a mirror, or copy a cache/,
  });

  process.env.HF_ENDPOINT = endpoint;
  const folder = await resolveModel('owner/small-sd', options);
  process.env.HF_ENDPOINT = 'http://127.0.0.1:1';
  lines.length = 0;
  t.equal(await resolveModel('owner/small-sd', options), folder);
  t.match(lines, [/^warn: owner\/small-sd: using the copy in the cache, .*cannot be reached/]);
  process.env.HF_ENDPOINT = endpoint;
  server.status.set('/api/', 503);
  t.equal(await resolveModel('owner/small-sd', options), folder);
  t.match(lines.at(-1), /status 503/);
  process.env.HF_HUB_OFFLINE = 'true';
  server.requests.length = 0;
  t.equal(await resolveModel('owner/small-sd', options), folder);
  t.strictSame(server.requests, []);
});

void t.test('unknown, gated and malformed names say so', async (t) => {
  const { options } = setUp(t);
  t.teardown(() => {
    server.status.clear();
    delete process.env.HF_TOKEN;
  });
  await t.rejects(resolveModel('owner/smal-sd', options), {
    name: 'UserError',
    message:
      /owner\/smal-sd: no such folder, and the hub at .* has no model of that name \(404\); check the spelling, or give a local folder/,
  });
  await t.rejects(resolveModel('./owner/small-sd', options), {
    name: 'UserError',
    message: /no such folder, and an id of the hub looks like "owner\/name"/,
  });
  await t.rejects(resolveModel('package.json', options), {
    name: 'UserError',
    message:
      /package.json: a file that is no checkpoint \(\.safetensors, .*; give the folder of the model, a checkpoint, or/,
  });
  server.status.set('/api/models/owner/small-sd', 401);
  await t.rejects(resolveModel('owner/small-sd', options), {
    name: 'UserError',
    message:
      /owner\/small-sd answers 401: misspelt, private or gated; check the name, or accept its terms there and set HF_TOKEN/,
  });
  server.status.clear();
  server.status.set('/owner/small-sd/resolve', 403);
  await t.rejects(resolveModel('owner/small-sd', options), {
    name: 'UserError',
    message: /the hub answers 403; is it gated/,
  });
  process.env.HF_TOKEN = 'secret';
  await t.rejects(resolveModel('owner/small-sd', options), {
    name: 'UserError',
    message: /HF_TOKEN is not a token of the hub/,
  });
  process.env.HF_TOKEN = 'hf_test';
  server.status.clear();
  server.requests.length = 0;
  await resolveModel('owner/small-sd', options);
  t.strictSame(new Set(server.requests.map((r) => r.authorization)), new Set(['Bearer hf_test']));
});

void t.test('names that would leave the cache are refused', async (t) => {
  const { options } = setUp(t);
  for (const path of ['unet/../../../evil.json', '/evil.json', 'unet\\evil.json', 'C:evil.json']) {
    server.add('models/owner/small-sd', { [path]: 'x' });
    await t.rejects(resolveModel('owner/small-sd', { ...options, files: (paths) => [...paths] }), {
      name: 'UserError',
      message: /which is not safe to store/,
    });
  }
  server.add('models/owner/small-sd', { 'README.md': 'x' });
  await t.rejects(resolveModel('owner/small-sd', options), {
    name: 'UserError',
    message: /has none of the files needed; it has README.md/,
  });
});

void t.test('a folder is used as it is, and datasets are resolved by id', async (t) => {
  const { options } = setUp(t);
  t.equal(await resolveModel('src', options), resolve('src'));
  server.add('datasets/owner/dog-example', {
    'a b.png': 'one',
    'metadata.csv': 'file_name,text',
    'README.md': 'no',
    '.gitattributes': 'no',
    'x.parquet': 'no',
  });
  const folder = await resolveDataset('owner/dog-example', options);
  t.equal(folder, join(options.cacheDir, 'datasets--owner--dog-example', 'snapshots', server.commit));
  t.strictSame((await readdir(folder)).sort(), ['a b.png', 'metadata.csv']);
  t.equal(await readFile(join(folder, 'a b.png'), 'utf8'), 'one');
});

void t.test('the cache is where HF_HOME or HF_HUB_CACHE say', async (t) => {
  const dir = t.testdir();
  t.teardown(() => {
    delete process.env.HF_HOME;
    delete process.env.HF_HUB_CACHE;
  });
  process.env.HF_HOME = join(dir, 'home');
  t.match(await resolveModel('owner/small-sd'), join(dir, 'home', 'hub', 'models--owner--small-sd', 'snapshots'));
  process.env.HF_HUB_CACHE = join(dir, 'cache');
  const folder = await resolveModel('owner/small-sd');
  t.match(folder, join(dir, 'cache', 'models--owner--small-sd', 'snapshots'));
  t.match(await realpath(join(folder, UNET)), join('blobs', BLOB));
});

void t.test('one set of weights per component is chosen', async (t) => {
  const of = (...names: string[]): string[] =>
    modelFiles(['model_index.json', ...names.map((n) => `unet/${n}`)])
      .slice(1)
      .map((p) => p.slice(5));
  const stem = 'diffusion_pytorch_model';
  t.strictSame(of(`${stem}.bin`, `${stem}.fp16.safetensors`, 'config.json', 'model.onnx', `${stem}.msgpack`), [
    'config.json',
    `${stem}.bin`,
  ]);
  t.strictSame(
    of(`${stem}.fp16.bin`, `${stem}.fp16.safetensors`),
    [`${stem}.fp16.safetensors`],
    'a variant when there is nothing else',
  );
  const shards = [`${stem}-00001-of-00002.safetensors`, `${stem}-00002-of-00002.safetensors`],
    index = `${stem}.safetensors.index.json`;
  t.strictSame(
    of(
      ...shards,
      index,
      `${stem}.fp16-00001-of-00001.safetensors`,
      `${stem}.safetensors.index.fp16.json`,
      `${stem}.bin`,
    ),
    [...shards, index],
  );
  const variant = [`${stem}.fp16-00001-of-00001.safetensors`, `${stem}.safetensors.index.fp16.json`];
  t.strictSame(of(...variant), variant);
  t.throws(
    () => modelFiles(['README.md', 'dream_8.safetensors', 'dream_8.ckpt', 'vae/config.json'], undefined, 'a/b'),
    {
      name: 'UserError',
      message:
        'a/b: on the hub it holds no pipeline folder but checkpoints in one file (dream_8.safetensors, dream_8.ckpt); download one, and give its path',
    },
  );
  t.strictSame(
    modelFiles(['config.json', 'adapter_model.safetensors', 'adapter_config.json', 'x.ckpt', 'unet/config.json']),
    ['adapter_config.json', 'adapter_model.safetensors', 'config.json', 'unet/config.json'],
  );
  t.strictSame(
    modelFiles([
      'model_index.json',
      'text_encoder/pytorch_model.bin',
      'text_encoder/flax_model.msgpack',
      'feature_extractor/preprocessor_config.json',
    ]),
    ['model_index.json', 'text_encoder/pytorch_model.bin'],
  );
  t.strictSame(datasetFiles(['data/train-0.parquet', 'README.md', '.hidden/a.png']), ['data/train-0.parquet']);
  t.strictSame(datasetFiles(['b.JPG', 'a.webp', 'metadata.jsonl', 'train.parquet']), [
    'a.webp',
    'b.JPG',
    'metadata.jsonl',
  ]);
});
