import { copyFile, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import t from 'tap';
import { convertFolder } from '../../src/formats/convert-folder.js';
import { openWeights } from '../../src/formats/open-weights.js';
import { openSafetensors, writeSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { float32 } from '../../src/tensor/host.js';
import { register } from '../../tools/commands/convert.js';
import { bytesOf, dict, tensor, torchFile } from '../fixtures/formats/torch-file.js';
import { golden, skipGolden } from '../golden.js';

const vector = (name: string, ...values: number[]): [Buffer, Record<string, Buffer>] => [
  dict({
    [name]: tensor({ key: '0', storage: 'FloatStorage', elements: values.length, shape: [values.length], stride: [1] }),
  }),
  { 0: bytesOf(Float32Array.from(values)) },
];

/** A pipeline as the hub had them: .bin weights, one of them called pytorch_model, one component safetensors already. */
async function pipeline(folder: string): Promise<string> {
  for (const inner of ['unet', 'text_encoder', 'vae', 'tokenizer'])
    await mkdir(join(folder, inner), { recursive: true });
  await writeFile(
    join(folder, 'model_index.json'),
    '{"_class_name":"StableDiffusionPipeline","unet":["diffusers","UNet2DConditionModel"],"safety_checker":["x","Y"],"image_encoder":[null,null]}',
  );
  await writeFile(join(folder, 'unet', 'config.json'), '{"a":1}');
  await writeFile(join(folder, 'tokenizer', 'merges.txt'), '#version');
  await torchFile(join(folder, 'unet', 'diffusion_pytorch_model.bin'), ...vector('u', 1, 2 ** -25, 3));
  await torchFile(join(folder, 'text_encoder', 'pytorch_model.bin'), ...vector('t', 5));
  await writeSafetensors(join(folder, 'vae', 'diffusion_pytorch_model.safetensors'), { v: float32([7], [1]) });
  return folder;
}

const files = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((e) => e.isFile())
    .map((e) => join(e.parentPath, e.name).slice(folder.length + 1))
    .sort();

void t.test('in place, safetensors files appear beside the .bin files and are read instead', async (t) => {
  const folder = await pipeline(join(t.testdir(), 'p'));
  t.strictSame(await convertFolder(folder), [
    join(folder, 'text_encoder', 'model.safetensors'),
    join(folder, 'unet', 'diffusion_pytorch_model.safetensors'),
  ]);
  t.strictSame(
    await (await openSafetensors(join(folder, 'text_encoder', 'model.safetensors'))).read('t'),
    float32([5], [1]),
  );
  t.ok((await files(folder)).includes(join('unet', 'diffusion_pytorch_model.bin')), 'the old file stays');
  t.strictSame(await convertFolder(folder), [], 'nothing to do the second time');
  await t.rejects(convertFolder(folder, { dtype: 'float16' }), {
    name: 'UserError',
    message: /safetensors already; --out writes them as float16 into a new folder/,
  });
});

void t.test('into a new folder, configs come along, weights become safetensors of one type', async (t) => {
  const folder = await pipeline(join(t.testdir(), 'p')),
    out = join(t.testdirName, 'new', 'q');
  await convertFolder(folder, { out, dtype: 'float16' });
  t.strictSame(await files(out), [
    'model_index.json',
    'text_encoder/model.safetensors',
    'tokenizer/merges.txt',
    'unet/config.json',
    'unet/diffusion_pytorch_model.safetensors',
    'vae/diffusion_pytorch_model.safetensors',
  ]);
  t.strictSame(
    JSON.parse(await readFile(join(out, 'model_index.json'), 'utf8')),
    {
      _class_name: 'StableDiffusionPipeline',
      unet: ['diffusers', 'UNet2DConditionModel'],
      safety_checker: [null, null],
      image_encoder: [null, null],
    },
    'without what is not there',
  );
  const unet = await openWeights(join(out, 'unet'), 'diffusion_pytorch_model');
  t.equal(unet.entries.get('u')!.dtype, 'float16');
  t.strictSame(await unet.readFloat32('u'), float32([1, 0, 3], [3]));
  t.strictSame(
    await (await openWeights(join(out, 'vae'), 'diffusion_pytorch_model')).readFloat32('v'),
    float32([7], [1]),
  );
  await t.rejects(convertFolder(folder, { out }), {
    name: 'UserError',
    message: /q: exists and is not empty; choose another folder or remove it/,
  });
});

void t.test('a refused file or a value too large for the type leaves no new folder', async (t) => {
  const folder = await pipeline(join(t.testdir(), 'p'));
  await torchFile(join(folder, 'unet', 'diffusion_pytorch_model.bin'), ...vector('u', 1, -70000));
  await t.rejects(convertFolder(folder, { out: join(t.testdirName, 'q'), dtype: 'float16' }), {
    name: 'UserError',
    message: /tensor "u": -70000 is too large for float16, which ends at 65504/,
  });
  await writeFile(join(folder, 'unet', 'diffusion_pytorch_model.bin'), 'no');
  await t.rejects(convertFolder(folder, { out: join(t.testdirName, 'q') }), {
    name: 'UserError',
    message: /not a PyTorch file/,
  });
  t.strictSame(await readdir(t.testdirName), ['p']);
  await t.rejects(convertFolder(folder, { out: join(folder, 'model_index.json', 'q') }), {
    name: 'UserError',
    message: /cannot be used \(ENOTDIR\)/,
  });
  await t.rejects(convertFolder(join(folder, 'tokenizer')), {
    name: 'UserError',
    message: /no weights here or one folder down/,
  });
  await t.rejects(convertFolder(join(folder, 'none')), {
    name: 'UserError',
    message: /cannot be opened as a folder \(ENOENT\)/,
  });
});

void t.test(
  'several variants without a plain file are named; --variant chooses one, which gets the plain name',
  async (t) => {
    const folder = join(t.testdir(), 'model'),
      out = join(t.testdirName, 'out');
    for (const [variant, value] of [
      ['fp16', 1],
      ['non_ema', 2],
    ] as const)
      await writeSafetensors(join(folder, 'unet', `diffusion_pytorch_model.${variant}.safetensors`), {
        w: float32([value], [1]),
      });
    const message =
      /unet: no plain weights, but several variants: fp16, non_ema; keep one of them, or "diffengine convert"/;
    await t.rejects(openWeights(join(folder, 'unet'), 'diffusion_pytorch_model'), { name: 'UserError', message });
    await t.rejects(convertFolder(folder, { out }), { name: 'UserError', message });
    await t.rejects(convertFolder(folder, { out, variant: 'bf16' }), {
      message: /no variant "bf16"; it has fp16, non_ema$/,
    });
    await convertFolder(folder, { out, variant: 'non_ema' });
    const chosen = await openWeights(join(out, 'unet'), 'diffusion_pytorch_model');
    t.strictSame(await chosen.read('w'), float32([2], [1]));
  },
);

void t.test('the command converts the U-Net that torch.save wrote', { skip: skipGolden }, async (t) => {
  const folder = join(t.testdir(), 'unet');
  await cp(golden('pytorch-bin', 'unet'), folder, { recursive: true });
  const run = (...args: string[]): Promise<Command> => {
    const program = new Command();
    register(program);
    return program.parseAsync(['convert', ...args], { from: 'user' });
  };
  await run(folder);
  const expected = await openSafetensors(golden('pytorch-bin', 'expected.safetensors'));
  const actual = await openSafetensors(join(folder, 'diffusion_pytorch_model.safetensors'));
  t.strictSame([...actual.entries.keys()], [...expected.entries.keys()]);
  for (const name of expected.entries.keys()) t.strictSame(await actual.read(name), await expected.read(name), name);
  await t.rejects(run(join(folder, 'nowhere')), {
    name: 'UserError',
    message: /no such folder; to convert a checkpoint or a model of the hub, say where to with --out/,
  });

  await copyFile(golden('pytorch-bin', 'malicious.bin'), join(t.testdirName, 'model.bin'));
  await t.rejects(run(t.testdirName), { name: 'UserError', message: /posix.system/ });
  t.strictSame((await readdir(t.testdirName)).sort(), ['model.bin', 'unet']);
});
