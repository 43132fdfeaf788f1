import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { UserError } from '../../../src/base/errors.js';
import { openWeights } from '../../../src/formats/open-weights.js';
import { openSafetensors } from '../../../src/formats/safetensors/safetensors.js';
import { convertedBin } from '../../../src/formats/torch-bin/torch-bin-cache.js';
import { openTorchBins } from '../../../src/formats/torch-bin/torch-bin.js';
import { Rng } from '../../../src/base/rng.js';
import { float32, int32, type HostTensor } from '../../../src/tensor/host.js';
import {
  bytesOf,
  call,
  dict,
  global,
  int,
  orderedDict,
  pickle,
  tensor,
  text,
  torchFile,
  tuple,
  zip,
} from '../../fixtures/formats/torch-file.js';
import { golden, skipGolden } from '../../golden.js';

const six = bytesOf(Float32Array.of(0, 1, 2, 3, 4, 5));
const plain = tensor({ key: '0', storage: 'FloatStorage', elements: 6, shape: [2, 3], stride: [3, 1] });

void t.test(
  'a file of torch.save with strided and offset tensors gives exactly the expected ones',
  { skip: skipGolden },
  async (t) => {
    const folder = golden('pytorch-bin', 'unet'),
      cacheDir = t.testdir();
    const expected = await openSafetensors(golden('pytorch-bin', 'expected.safetensors'));
    const bins = await openTorchBins([join(folder, 'diffusion_pytorch_model.bin')]);
    t.strictSame(bins.specs.map((s) => s.name).sort(), [...expected.entries.keys()].sort());
    for (const { name } of bins.specs) t.strictSame(await bins.read(name), await expected.read(name), name);

    const converted = await openWeights(folder, 'diffusion_pytorch_model', { cacheDir });
    t.match(converted.files[0], join(cacheDir, 'weights', 'diffusion_pytorch_model-'));
    t.equal(converted.entries.size, expected.entries.size);
    for (const name of expected.entries.keys())
      t.strictSame(await converted.read(name), await expected.read(name), name);
  },
);

void t.test(
  'a file that asks to run a command is refused by name and nothing runs',
  { skip: skipGolden },
  async (t) => {
    await t.rejects(openTorchBins([golden('pytorch-bin', 'malicious.bin')]), {
      name: 'UserError',
      message:
        /malicious.bin: refused, its data.pkl: global "posix.system" is not one that tensors need; .* nothing was executed/,
    });
    const folder = t.testdir(),
      cacheDir = join(folder, 'cache');
    await copyFile(golden('pytorch-bin', 'malicious.bin'), join(folder, 'model.bin'));
    await t.rejects(openWeights(folder, 'model', { cacheDir }), { name: 'UserError', message: /posix.system/ });
    t.notOk(existsSync('should-not-exist'));
    t.notOk(
      existsSync(join(cacheDir, 'weights')) && (await readdir(join(cacheDir, 'weights'))).length > 0,
      'nothing half-written',
    );
  },
);

void t.test('views are read where they lie in their storage', async (t) => {
  const path = join(t.testdir(), 'a.bin');
  const view = (shape: number[], stride: number[], offset = 0): Buffer =>
    tensor({ key: '0', storage: 'FloatStorage', elements: 6, offset, shape, stride });
  await torchFile(
    path,
    dict({
      plain,
      transposed: view([3, 2], [1, 3]),
      column: view([2], [3], 1),
      scalar: view([], [], 5),
      empty: view([0, 3], [3, 1], 6),
      expanded: view([2, 2], [0, 1], 4),
      cube: view([3, 1, 2], [1, 6, 3]),
      parameter: call(global('torch._utils', '_rebuild_parameter'), plain, Buffer.from([0x88]), orderedDict),
    }),
    { 0: six },
  );
  const bins = await openTorchBins([path]);
  const expected: Record<string, HostTensor> = {
    plain: float32([0, 1, 2, 3, 4, 5], [2, 3]),
    transposed: float32([0, 3, 1, 4, 2, 5], [3, 2]),
    column: float32([1, 4], [2]),
    scalar: float32([5], []),
    empty: float32([], [0, 3]),
    expanded: float32([4, 5, 4, 5], [2, 2]),
    cube: float32([0, 3, 1, 4, 2, 5], [3, 1, 2]),
    parameter: float32([0, 1, 2, 3, 4, 5], [2, 3]),
  };
  for (const [name, value] of Object.entries(expected)) t.strictSame(await bins.read(name), value, name);
});

void t.test('every storage type has a host type', async (t) => {
  const path = join(t.testdir(), 'a.bin');
  const cases: Record<string, [ArrayBufferView, HostTensor]> = {
    FloatStorage: [Float32Array.of(1.5), float32([1.5], [1])],
    HalfStorage: [Uint16Array.of(0x3c00), { dtype: 'float16', shape: [1], data: Uint16Array.of(0x3c00) }],
    BFloat16Storage: [Uint16Array.of(0x3f80), { dtype: 'bfloat16', shape: [1], data: Uint16Array.of(0x3f80) }],
    DoubleStorage: [Float64Array.of(0.1), float32([Math.fround(0.1)], [1])],
    LongStorage: [BigInt64Array.of(-5n), { dtype: 'int64', shape: [1], data: BigInt64Array.of(-5n) }],
    IntStorage: [Int32Array.of(-5), int32([-5], [1])],
    ShortStorage: [Int16Array.of(-5), int32([-5], [1])],
    CharStorage: [Int8Array.of(-5), int32([-5], [1])],
    ByteStorage: [Uint8Array.of(250), { dtype: 'uint8', shape: [1], data: Uint8Array.of(250) }],
    BoolStorage: [Uint8Array.of(1), { dtype: 'bool', shape: [1], data: Uint8Array.of(1) }],
  };
  const names = Object.keys(cases);
  await torchFile(
    path,
    dict(
      Object.fromEntries(
        names.map((storage) => [storage, tensor({ key: storage, storage, elements: 1, shape: [1], stride: [1] })]),
      ),
    ),
    Object.fromEntries(names.map((name) => [name, bytesOf(cases[name][0])])),
    { byteorder: 'little' },
  );
  const bins = await openTorchBins([path]);
  for (const name of names) t.strictSame(await bins.read(name), cases[name][1], name);
});

void t.test(
  'a checkpoint with its weights under state_dict, numbers beside, metadata and zip64 records is read',
  async (t) => {
    const path = join(t.testdir(), 'a.bin');
    const metadata = Buffer.concat([
      dict({ _metadata: dict({ '': dict({ version: Buffer.from([0x8a, 1, 255]) }) }) }),
      Buffer.from('b'),
    ]);
    const state = Buffer.concat([orderedDict, text('w'), plain, Buffer.from('s'), metadata]);
    const list = Buffer.concat([Buffer.from('](K\x01N\x88e', 'latin1'), Buffer.from('M\x02\x01a')]);
    await torchFile(
      path,
      dict({
        epoch: int(3),
        loss: Buffer.from([0x47, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]),
        list,
        pair: Buffer.from('K\x01K\x02\x86', 'latin1'),
        state_dict: state,
      }),
      { 0: six },
      { zip64: true },
    );
    const bins = await openTorchBins([path]);
    t.strictSame(bins.specs, [{ name: 'w', dtype: 'float32', shape: [2, 3] }]);
    t.strictSame(await bins.read('w'), float32([0, 1, 2, 3, 4, 5], [2, 3]));
  },
);

void t.test('whatever is not a tensor is refused by name', async (t) => {
  const path = join(t.testdir(), 'a.bin');
  const refuses = async (
    message: RegExp,
    value: Buffer,
    storages: Record<string, Buffer> = { 0: six },
  ): Promise<void> => {
    await torchFile(path, value, storages);
    await t.rejects(openTorchBins([path]), { name: 'UserError', message }, String(message));
    await t.rejects(openTorchBins([path]), {
      message: /a.bin: refused, its data.pkl: .*; only state dicts are read and nothing was executed/,
    });
  };
  const view = (change: Partial<Parameters<typeof tensor>[0]>): Buffer =>
    dict({ w: tensor({ key: '0', storage: 'FloatStorage', elements: 6, shape: [2, 3], stride: [3, 1], ...change }) });
  await refuses(/global "builtins.eval" is not one/, dict({ w: call(global('builtins', 'eval'), text('1')) }));
  await refuses(
    /global "torch._utils._rebuild_tensor_v2\.__globals__" is not one/,
    global('torch._utils', '_rebuild_tensor_v2.__globals__'),
  );
  await refuses(/global "torch.QInt8Storage" is not one/, view({ storage: 'QInt8Storage' }));
  await refuses(/opcode INST at byte 3 is not one/, Buffer.from('(ios\nsystem\n'));
  await refuses(
    /opcode STACK_GLOBAL at byte 16 is not one/,
    Buffer.concat([text('os'), text('rm'), Buffer.from([0x93])]),
  );
  await refuses(/opcode NEWOBJ at byte 3/, Buffer.from(')\x81', 'latin1'));
  await refuses(/opcode 0xff at byte 2/, Buffer.from([0xff]));
  await refuses(/uses global "collections.OrderedDict" as a value/, dict({ w: global('collections', 'OrderedDict') }));
  await refuses(/uses global "collections.OrderedDict" as a value/, global('collections', 'OrderedDict'));
  await refuses(/calls something that is not a function/, call(dict({})));
  await refuses(/calls something that is not a function/, call(global('torch', 'FloatStorage')));
  await refuses(/makes an OrderedDict from a list/, call(global('collections', 'OrderedDict'), Buffer.from(']')));
  await refuses(
    /BUILD at byte \d+ sets attributes other than/,
    Buffer.concat([orderedDict, dict({ __class__: int(1) }), Buffer.from('b')]),
  );
  await refuses(
    /makes a parameter of something that is not a tensor/,
    call(global('torch._utils', '_rebuild_parameter'), int(1)),
  );
  await refuses(/entry "w" is not a tensor/, dict({ w: int(1) }));
  await refuses(/entry 7 is not a tensor/, Buffer.concat([Buffer.from('}'), int(7), plain, Buffer.from('s')]));
  await refuses(/does not hold a dict of tensors/, plain);
  await refuses(
    /a dict key that is not text or a number/,
    Buffer.concat([Buffer.from('}'), tuple(), int(1), Buffer.from('s')]),
  );
  await refuses(/sets items of something that is not a dict/, Buffer.from(']K\x01K\x01s'));
  await refuses(/appends to something that is not a list/, Buffer.from('}K\x01a'));
  await refuses(/a number of 9 bytes/, Buffer.from([0x8a, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
  await refuses(/ends at byte \d+ in the middle of a value/, Buffer.from('X\xff\xff\xff\x7fabc', 'latin1'));
  await refuses(/in the middle of a name/, Buffer.from('cos'));
  await refuses(/takes a value that is not there/, Buffer.from('s'));
  await refuses(/takes a mark that is not there/, Buffer.from('t'));
  await refuses(/recalls value 9, which was never stored/, Buffer.from('h\x09'));
  await refuses(/values are left over/, Buffer.from('}}'));
  await refuses(/pickle protocol 4/, Buffer.from([0x80, 4]));
  await refuses(/storage "1", which the file does not have/, view({ key: '1' }));
  await refuses(/refers to something that is not a storage/, Buffer.from('NQ'));
  await refuses(/storage "0" should have 7 elements of torch.FloatStorage, it has 24 bytes/, view({ elements: 7 }));
  await refuses(
    /shape \[2,3\], stride \[3,1\] and offset 1 reaches element 6 of storage "0", which has 6/,
    view({ offset: 1 }),
  );
  await refuses(/reaches element 9/, view({ stride: [7, 1] }));
  await refuses(/without a valid storage, offset, size and stride/, view({ stride: [1] }));
  await refuses(/without a valid storage, offset, size and stride/, view({ shape: [2, 0xffffffff] }));
});

void t.test('a tensor expanded from one value to terabytes is refused before anything is made', async (t) => {
  const path = join(t.testdir(), 'a.bin');
  await torchFile(
    path,
    dict({ w: tensor({ key: '0', storage: 'FloatStorage', elements: 6, shape: [1000000, 1000000], stride: [0, 0] }) }),
    { 0: six },
  );
  await t.rejects(openTorchBins([path]), {
    name: 'UserError',
    message: /its tensors would have 4000000000000 bytes, the file has \d+; expanded tensors must be saved contiguous/,
  });
});

void t.test('files that are no or damaged torch files say what is wrong', async (t) => {
  const path = join(t.testdir(), 'a.bin');
  const refuses = async (message: RegExp, data: Buffer): Promise<void> => {
    await writeFile(path, data);
    await t.rejects(openTorchBins([path]), { name: 'UserError', message });
  };
  const good = zip([
    ['m/data.pkl', pickle(dict({ w: plain }))],
    ['m/data/0', six],
  ]);
  await refuses(/not a PyTorch file \(it starts with 3c68746d/, Buffer.from('<html>'));
  await refuses(/not a PyTorch file \(it starts with nothing/, Buffer.alloc(0));
  await refuses(/the format of PyTorch before 1.6/, Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex'));
  await refuses(/a Git LFS pointer, not the weights/, Buffer.from('version https://git-lfs.github.com/spec/v1\n'));
  await refuses(/no directory at its end/, good.subarray(0, good.length - 30));
  await refuses(/directory has \d+ bytes at \d+, the file/, Buffer.concat([good.subarray(0, 40), good.subarray(-22)]));
  await refuses(/a zip file with 0 entries data.pkl/, zip([['m/other', six]]));
  await refuses(
    /two entries "m\/data\/0"/,
    zip([
      ['m/data/0', six],
      ['m/data/0', six],
    ]),
  );
  await refuses(/"m\/data.pkl" is compressed \(method 8\)/, zip([['m/data.pkl', six]], { method: 8 }));
  await refuses(/"m\/data.pkl" is encrypted/, zip([['m/data.pkl', six]], { flags: 1 }));
  await refuses(
    /byte order is "big", only "little" is read/,
    zip([
      ['m/data.pkl', pickle(dict({}))],
      ['m/byteorder', Buffer.from('big')],
    ]),
  );
  await refuses(
    /entry "m\/data.pkl" is damaged \(its checksum is/,
    Buffer.from(good.toString('latin1').replace('_rebuild', '_rEbuild'), 'latin1'),
  );

  const swapped = Buffer.from(good);
  swapped[swapped.indexOf(six) + 3] ^= 1;
  await writeFile(path, swapped);
  const bins = await openTorchBins([path]);
  await t.rejects(bins.read('w'), { name: 'UserError', message: /entry "m\/data\/0" is damaged/ });
  await truncate(path, 50);
  await t.rejects(bins.read('w'), { name: 'UserError', message: /ends before byte/ });
  await t.rejects(openTorchBins([join(t.testdirName, 'none.bin')]), {
    name: 'UserError',
    message: /cannot be opened \(ENOENT\)/,
  });
});

void t.test('no damage of a pickle or zip leads to anything but a refusal or other numbers', async (t) => {
  const path = join(t.testdir(), 'a.bin'),
    random = new Rng(7).stream('damage'),
    pick = (n: number): number => Math.floor(random.uniform() * n);
  const damaged = (good: Buffer): Buffer => {
    const bad = Buffer.from(good);
    for (let i = 0; i <= pick(3); i++) bad[pick(bad.length)] = pick(256);
    return pick(8) === 0 ? bad.subarray(0, pick(bad.length)) : bad;
  };
  const value = Buffer.concat([
    orderedDict,
    text('w'),
    plain,
    Buffer.from('s'),
    dict({ _metadata: dict({}) }),
    Buffer.from('b'),
  ]);
  await torchFile(path, value, { 0: six }, { zip64: true });
  const file = await readFile(path),
    outcomes = { refused: 0, read: 0 };
  for (let round = 0; round < 1000; round++) {
    if (round % 2 === 0)
      await torchFile(path, damaged(value), { 0: six }); // with a checksum that fits, so the interpreter sees it
    else await writeFile(path, damaged(file));
    try {
      const bins = await openTorchBins([path]);
      for (const { name } of bins.specs) await bins.read(name);
      outcomes.read++;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      outcomes.refused++;
    }
  }
  t.ok(outcomes.refused > 500 && outcomes.read > 20, JSON.stringify(outcomes));
});

void t.test('a converted file is made once and again when the source changes', async (t) => {
  const dir = t.testdir(),
    path = join(dir, 'model.bin'),
    cacheDir = join(dir, 'cache'),
    lines: string[] = [];
  const log = { info: (line: string) => void lines.push(line), warn: () => undefined, debug: () => undefined };
  await torchFile(path, dict({ w: plain }), { 0: six });
  await utimes(path, 1000, 1000);
  const first = await convertedBin([path], { cacheDir, log });
  t.equal(await convertedBin([path], { cacheDir, log }), first);
  t.strictSame(lines, [`${path}: converting to safetensors, once, into ${first}`]);
  await utimes(path, 2000, 2000);
  t.not(await convertedBin([path], { cacheDir, log }), first);
  t.strictSame((await readFile(first)).length > 0, true);
  await writeFile(join(dir, 'taken'), '');
  await t.rejects(convertedBin([path], { cacheDir: join(dir, 'taken') }), {
    name: 'UserError',
    message: /cannot be written .*DIFFENGINE_CACHE to another folder/,
  });
});

void t.test('sharded .bin files are joined and checked against their index', async (t) => {
  const dir = t.testdir(),
    cacheDir = join(dir, 'cache');
  const one = 'pytorch_model-00001-of-00002.bin',
    two = 'pytorch_model-00002-of-00002.bin';
  await mkdir(cacheDir);
  await torchFile(join(dir, one), dict({ a: plain }), { 0: six });
  await torchFile(join(dir, two), dict({ b: plain }), { 0: six });
  const index = (map: object): Promise<void> =>
    writeFile(join(dir, 'pytorch_model.bin.index.json'), JSON.stringify({ weight_map: map }));
  await index({ a: one, b: two });
  const file = await openWeights(dir, 'model', { cacheDir });
  t.strictSame([...file.entries.keys()], ['a', 'b']);
  t.strictSame(await file.read('b'), float32([0, 1, 2, 3, 4, 5], [2, 3]));
  await index({ a: one, c: two });
  await t.rejects(openWeights(dir, 'model', { cacheDir }), {
    name: 'UserError',
    message: /says "c" is in pytorch_model-00002-of-00002.bin, where it is not/,
  });
  await torchFile(join(dir, two), dict({ a: plain }), { 0: six });
  await t.rejects(openTorchBins([join(dir, one), join(dir, two)]), {
    name: 'UserError',
    message: /tensor "a" is in .*00001-of-00002.bin too/,
  });
});

void t.test(
  'of a checkpoint of PyTorch Lightning the tensors are read; what stands beside them is named and never made',
  async (t) => {
    const path = join(t.testdir(), 'a.ckpt');
    const callback = Buffer.concat([
      global('pytorch_lightning.callbacks', 'ModelCheckpoint'),
      Buffer.from([0x29, 0x81]), // NEWOBJ
      dict({ best: call(global('numpy.core.multiarray', 'scalar'), text('f8'), text('x')) }),
      Buffer.from('b'),
    ]);
    const weights = dict({
      w: tensor({ key: '0', storage: 'FloatStorage', elements: 6, shape: [6], stride: [1] }),
      steps: int(7),
    });
    await torchFile(path, dict({ epoch: int(3), state_dict: weights, callbacks: dict({ c: callback }) }), { 0: six });
    const bins = await openTorchBins([path], { checkpoint: true });
    t.strictSame(await bins.read('w'), float32([0, 1, 2, 3, 4, 5], [6]));
    t.strictSame(bins.leftOut, ['epoch', 'callbacks', 'steps']);
    await t.rejects(openTorchBins([path]), {
      message: /global "pytorch_lightning\.callbacks\.ModelCheckpoint" is not one/,
    });
    await torchFile(path, dict({ state_dict: weights, evil: call(global('posix', 'system'), text('true')) }), {
      0: six,
    });
    await t.rejects(openTorchBins([path], { checkpoint: true }), { message: /global "posix\.system" is not one/ });
  },
);
