import { readdir, readFile, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { UserError } from '../../../src/base/errors.js';
import { fromFloat32, toFloat32 } from '../../../src/formats/float-formats.js';
import { openWeights } from '../../../src/formats/open-weights.js';
import {
  openSafetensors,
  writeSafetensors,
  writeSafetensorsStream,
} from '../../../src/formats/safetensors/safetensors.js';
import { float32, int32, type HostTensor } from '../../../src/tensor/host.js';
import { golden, skipGolden } from '../../golden.js';

/** A file with a header of our choosing and `dataBytes` zeros after it. */
async function rawFile(
  path: string,
  header: object | string,
  dataBytes = 0,
  tail: Buffer = Buffer.alloc(0),
): Promise<string> {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const lead = Buffer.alloc(8);
  lead.writeBigUInt64LE(BigInt(json.length));
  await writeFile(path, Buffer.concat([lead, json, Buffer.alloc(dataBytes), tail]));
  return path;
}

void t.test('every dtype is read back as it was written', async (t) => {
  const path = join(t.testdir(), 'a.safetensors');
  const tensors: Record<string, HostTensor> = {
    f: float32([1.5, -2], [2]),
    i: int32([7, -8, 9], [3, 1]),
    empty: float32([], [0, 4]),
    scalar: float32([3], []),
    h: { dtype: 'float16', shape: [3], data: Uint16Array.of(0x3c00, 0x7bff, 0x8001) },
    b: { dtype: 'bfloat16', shape: [1], data: Uint16Array.of(0x3f80) },
    l: { dtype: 'int64', shape: [2], data: BigInt64Array.of(-1n, 2n ** 62n) },
    u: { dtype: 'uint8', shape: [3], data: Uint8Array.of(1, 2, 255) },
    o: { dtype: 'bool', shape: [2], data: Uint8Array.of(1, 0) },
  };
  await writeSafetensors(path, tensors, { format: 'pt' });
  const file = await openSafetensors(path);
  t.strictSame(file.metadata, { format: 'pt' });
  t.strictSame(
    [...file.entries.keys()],
    ['l', 'empty', 'f', 'scalar', 'i', 'b', 'h', 'u', 'o'],
    'widest first, then by name',
  );
  for (const [name, tensor] of Object.entries(tensors)) t.strictSame(await file.read(name), tensor, name);
  t.strictSame(await file.readFloat32('h'), float32([1, 65504, -(2 ** -24)], [3]));
  t.strictSame(await file.readFloat32('b'), float32([1], [1]));
  t.strictSame(await readdir(t.testdirName), ['a.safetensors'], 'nothing left aside');
});

void t.test('a file of the safetensors library is written again byte for byte', { skip: skipGolden }, async (t) => {
  const path = golden('peft_adapter_r4_a4', 'unet', 'adapter_model.safetensors');
  const file = await openSafetensors(path),
    copy = join(t.testdir(), 'copy.safetensors');
  const tensors: Record<string, HostTensor> = {};
  for (const name of [...file.entries.keys()].reverse()) tensors[name] = await file.read(name);
  await writeSafetensors(copy, tensors, file.metadata);
  t.ok((await readFile(copy)).equals(await readFile(path)));
});

void t.test('a stream asks for one tensor at a time and leaves nothing behind when that fails', async (t) => {
  const path = join(t.testdir(), 'new', 's.safetensors'),
    asked: string[] = [];
  const specs = [
    { name: 'b', dtype: 'float32', shape: [2] },
    { name: 'a', dtype: 'float32', shape: [1] },
  ] as const;
  await writeSafetensorsStream(path, specs, ({ name, shape }) => {
    asked.push(name);
    return float32(new Float32Array(shape[0]).fill(4), shape);
  });
  t.strictSame(asked, ['a', 'b']);
  t.strictSame(await (await openSafetensors(path)).read('b'), float32([4, 4], [2]));
  await t.rejects(
    writeSafetensorsStream(path, specs, () => float32([1], [1])),
    { message: /tensor "b" is \[1\] float32 with 1 values, announced as \[2\] float32/ },
  );
  await t.rejects(writeSafetensors(join(path, 'below-a-file.safetensors'), {}), {
    name: 'UserError',
    message: /cannot be written \((ENOTDIR|EEXIST)\)/,
  });
  t.strictSame(await readdir(join(t.testdirName, 'new')), ['s.safetensors']);
  t.equal((await openSafetensors(path)).entries.size, 2, 'the earlier file is as it was');
});

void t.test('damaged files are refused with the tensor and the numbers', async (t) => {
  const path = join(t.testdir(), 'x.safetensors');
  const refuses = async (
    message: RegExp,
    header: object | string,
    dataBytes?: number,
    tail?: Buffer,
  ): Promise<void> => {
    await rawFile(path, header, dataBytes, tail);
    const error: unknown = await openSafetensors(path).catch((e: unknown) => e);
    t.ok(
      error instanceof UserError && error.message.startsWith(`${path}: `) && error.message.includes('; '),
      'names the file and a fix',
    );
    t.match(error, { message });
  };
  const f32 = (begin: number, end: number, shape: unknown = [2]): object => ({
    dtype: 'F32',
    shape,
    data_offsets: [begin, end],
  });
  await refuses(/its data ends at byte \d+, the file at \d+ \(truncated\)/, { w: f32(0, 8) }, 7);
  await refuses(/"w": shape \[2\] float32 needs 8 bytes, data_offsets \[0,12\] give 12/, { w: f32(0, 12) }, 12);
  await refuses(/"v": starts at byte \d+, which overlaps "w"/, { w: f32(0, 8), v: f32(4, 12) }, 12);
  await refuses(/"w": starts at byte \d+, which leaves a gap after the header/, { w: f32(4, 12) }, 12);
  await refuses(/has 3 bytes after its last tensor \("w"/, { w: f32(0, 8) }, 11);
  await refuses(
    /dtype "F64" is not supported; store it as one of F32, F16/,
    { w: { dtype: 'F64', shape: [1], data_offsets: [0, 8] } },
    8,
  );
  await refuses(/dtype "toString" is not supported/, { w: { dtype: 'toString', shape: [1], data_offsets: [0, 8] } }, 8);
  await refuses(/its shape is \[-1\]/, { w: f32(0, 8, [-1]) }, 8);
  await refuses(/its data_offsets are \[0\]/, { w: { dtype: 'F32', shape: [1], data_offsets: [0] } }, 8);
  await refuses(/its data_offsets are missing/, { w: { dtype: 'F32', shape: [1] } }, 8);
  await refuses(/dtype \(missing\) is not supported/, { w: null });
  await refuses(/its header is not JSON/, '{"w":');
  await refuses(/its header is not a JSON object/, '[]');
  await writeFile(path, Buffer.from([255, 255, 255, 255, 255, 255, 0, 0, 1]));
  await t.rejects(openSafetensors(path), { message: /its header should have 281474976710655 bytes, the file has 9/ });
  await writeFile(path, 'tiny');
  await t.rejects(openSafetensors(path), { message: /it has 4 bytes/ });
  await writeFile(path, 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n');
  await t.rejects(openSafetensors(path), {
    message: /a Git LFS pointer, not the weights \(\d+ bytes\); run "git lfs pull"/,
  });
  await t.rejects(openSafetensors(t.testdirName), { name: 'UserError', message: /not a file/ });
  await t.rejects(openSafetensors(join(t.testdirName, 'none')), {
    name: 'UserError',
    message: /cannot be opened \(ENOENT\)/,
  });
});

void t.test('a file cut off after it was opened is noticed when read', async (t) => {
  const path = join(t.testdir(), 'x.safetensors');
  await writeSafetensors(path, { w: float32([1, 2, 3, 4], [4]) });
  const file = await openSafetensors(path);
  await truncate(path, file.entries.get('w')!.offset + 5);
  await t.rejects(file.read('w'), { name: 'UserError', message: /ends before byte/ });
  await t.rejects(file.read('v'), { name: 'UserError', message: /no tensor "v"; it has w/ });
});

void t.test('all 65536 halves survive widening and narrowing, NaN as NaN', async (t) => {
  const words = Uint16Array.from({ length: 65536 }, (_, i) => i);
  for (const [dtype, infinity] of [
    ['float16', 0x7c00],
    ['bfloat16', 0x7f80],
  ] as const) {
    const back = fromFloat32(toFloat32({ dtype, shape: [65536], data: words }), dtype).data as Uint16Array;
    const isNan = (word: number): boolean => (word & 0x7fff) > infinity;
    t.strictSame(
      [...words].filter((word) => (isNan(word) ? !isNan(back[word]) : back[word] !== word)),
      [],
      dtype,
    );
  }
});

void t.test('halves round to nearest, ties to even', async (t) => {
  const words = (dtype: 'float16' | 'bfloat16', values: number[]): number[] => [
    ...(fromFloat32(float32(values, [values.length]), dtype).data as Uint16Array),
  ];
  // Around 1 the spacing of float16 is 2^-10, of bfloat16 2^-7.
  t.strictSame(
    words('float16', [
      1 + 2 ** -11,
      1 + 3 * 2 ** -11,
      1 + 2 ** -11 + 2 ** -20,
      65519,
      65520,
      2 ** -25,
      1.5 * 2 ** -25,
      -(2 ** -14),
    ]),
    [0x3c00, 0x3c02, 0x3c01, 0x7bff, 0x7c00, 0, 1, 0x8400],
  );
  t.strictSame(
    words('bfloat16', [1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, -3.4e38, Infinity, NaN]),
    [0x3f80, 0x3f82, 0x3f81, 0xff80, 0x7f80, 0x7fc0],
  );
  t.throws(() => toFloat32(int32([1], [1])), TypeError);
});

void t.test('weights are found whole, in shards or as the only variant', async (t) => {
  const dir = t.testdir(),
    stem = 'model';
  const shards = {
    'model-00001-of-00002.safetensors': { a: float32([1], [1]) },
    'model-00002-of-00002.safetensors': { b: float32([2], [1]) },
  };
  for (const [name, tensors] of Object.entries(shards)) await writeSafetensors(join(dir, name), tensors);
  const index = (map: unknown): Promise<void> =>
    writeFile(join(dir, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: map }));
  const [one, two] = Object.keys(shards);
  await index({ a: one, b: two });
  const sharded = await openWeights(dir, stem);
  t.strictSame([await sharded.read('a'), await sharded.read('b')], [float32([1], [1]), float32([2], [1])]);
  t.strictSame(sharded.files, [join(dir, one), join(dir, two)]);

  await index({ a: one, b: one });
  await t.rejects(openWeights(dir, stem), {
    name: 'UserError',
    message: /"b" is in model-00001-of-00002.safetensors, where it is not/,
  });
  await index({ a: one });
  await writeSafetensors(join(dir, one), { a: float32([1], [1]), c: float32([1], [1]) });
  await t.rejects(openWeights(dir, stem), {
    name: 'UserError',
    message: /model-00001-of-00002.safetensors has "c", which it does not list/,
  });
  await index({ a: '../model.safetensors' });
  await t.rejects(openWeights(dir, stem), {
    name: 'UserError',
    message: /"a" is in "..\/model.safetensors", which is not a file name/,
  });
  await index({ a: 'gone.safetensors' });
  await t.rejects(openWeights(dir, stem), { name: 'UserError', message: /gone.safetensors: cannot be opened/ });
  await writeFile(join(dir, 'model.safetensors.index.json'), '{}');
  await t.rejects(openWeights(dir, stem), { name: 'UserError', message: /has no weight_map/ });

  await rename(join(dir, two), join(dir, 'model.fp16.safetensors'));
  await t.rejects(openWeights(dir, stem, { variant: 'ema' }), {
    name: 'UserError',
    message: /looked for model.ema.safetensors.*found .*model.fp16.safetensors/s,
  });
  t.ok((await openWeights(dir, stem, { variant: 'fp16' })).entries.has('b'));
  await rename(join(dir, 'model.safetensors.index.json'), join(dir, 'old.json'));
  t.ok((await openWeights(dir, stem)).entries.has('b'), 'the only variant there is');
  await writeSafetensors(join(dir, 'model.safetensors'), { whole: float32([3], [1]) });
  t.ok((await openWeights(dir, stem)).entries.has('whole'), 'the plain file first');
  await t.rejects(openWeights(join(dir, 'none'), stem), {
    name: 'UserError',
    message: /none: cannot be read \(ENOENT\)/,
  });
});
