/** Weights and adapters that hold NaN or infinity: one line that names the tensor, never a black picture and exit 0. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { compileFinite } from '../../src/backends/finite.js';
import { openSafetensors, writeSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { firstNonFinite, nameOfNonFinite } from '../../src/tensor/finite.js';
import { float32 } from '../../src/tensor/host.js';
import { div, mul } from '../../src/tensor/ops.js';
import { input, state, weight } from '../../src/tensor/tensor.js';
import { Project, refuses, type Finished } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const MODEL = resolve('assets/tiny-random-sd');
const SMALL = ['--steps', '1', '--height', '64', '--width', '64', '--out', 'x.png'];

/** Writes a 16-bit float over the first value of a tensor. */
async function spoil(file: string, tensor: string, word: number): Promise<void> {
  const entry = (await openSafetensors(file)).entries.get(tensor);
  if (!entry) throw new Error(`${file}: no ${tensor}`);
  const bytes = readFileSync(file);
  if (entry.dtype === 'float32') bytes.writeFloatLE(word === 0x7e00 ? NaN : Infinity, entry.offset);
  else bytes.writeUInt16LE(word, entry.offset);
  writeFileSync(file, bytes);
}

const PLACES = [
  ['unet', 'diffusion_pytorch_model', 'mid_block.resnets.0.conv1.weight', 'sample_step: prediction is NaN'],
  ['text_encoder', 'model', 'text_model.final_layer_norm.weight', 'encode_text: states is NaN'],
  ['vae', 'diffusion_pytorch_model', 'decoder.conv_in.weight', 'decode_image: image is NaN'],
] as const;

for (const [part, stem, tensor, what] of PLACES)
  void t.test(`demo: a NaN in the ${part} is named`, async (t) => {
    const project = Project.create(t, {});
    const file = join(project.copyModel('m'), part, `${stem}.safetensors`);
    await spoil(file, tensor, 0x7e00);
    refuses(
      t,
      project,
      await project.run(['demo', 'x', 'm', ...SMALL]),
      new RegExp(
        `^diffengine: \\./m/${part}/${stem}\\.safetensors: tensor "${tensor}": holds NaN \\(value 0 of \\d+\\), so that ${what}; .+\n$`,
      ),
    );
    t.notOk(project.files().includes('x.png'));
  });

void t.test(
  'train names the weight of the base model, not the learning rate; convert says what it keeps',
  async (t) => {
    const project = Project.create(t, {}),
      file = join(project.copyModel('m'), 'unet/diffusion_pytorch_model.safetensors');
    await spoil(file, 'conv_norm_out.weight', 0x7c00);
    const config = ['train', 'tiny_random_sd_dreambooth_lora_dog', '--work-dir', 'w'],
      options = ['model.model=m', 'train_dataloader.dataset.class_prompt=null', 'custom_hooks.preview=null'];
    refuses(
      t,
      project,
      await project.run([...config, '--cfg-options', ...options]),
      /diffusion_pytorch_model\.safetensors: tensor "conv_norm_out\.weight": holds Infinity \(value 0 of \d+\), so that loss is NaN; nothing can be trained on it, use another file/,
    );
    for (const out of ['c', 'c.safetensors']) {
      const { code, err } = await project.run(['convert', 'm', '--out', out]);
      t.equal(code, 0);
      t.match(
        err,
        /warning: .*: tensor ".*" holds Infinity \(value 0 of \d+\), which is kept; no model can compute with it/,
      );
    }
  },
);

void t.test('demo_lora and merge-lora: a NaN or an infinity in an adapter, and scales without measure', async (t) => {
  const project = Project.create(t, {});
  const module = 'down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q';
  const { entries } = await openSafetensors(join(MODEL, 'unet/diffusion_pytorch_model.safetensors'));
  const [out, inner] = entries.get(`${module}.weight`)?.shape ?? [];
  const write = (name: string, value: number): Promise<void> =>
    writeSafetensors(project.file(name), {
      [`unet.${module}.lora_A.weight`]: float32(
        Float32Array.from({ length: 2 * inner }, (_, i) => (i === 5 ? value : 0.1)),
        [2, inner],
      ),
      [`unet.${module}.lora_B.weight`]: float32(new Float32Array(2 * out).fill(0.1), [out, 2]),
    });
  await write('nan.safetensors', NaN);
  await write('inf.safetensors', Infinity);
  await write('fine.safetensors', 0.1);
  const oneLine = (finished: Finished, what: RegExp): void => {
    refuses(t, project, finished, what);
    t.match(finished.err, /^[^\n]+\n$/, 'one line');
  };
  const named = /to_q.*(NaN|[Ii]nfinity)/;
  for (const file of ['nan.safetensors', 'inf.safetensors']) {
    oneLine(await project.run(['demo_lora', 'x', file, '--sdmodel', MODEL, ...SMALL]), named);
    oneLine(await project.run(['merge-lora', MODEL, file, '--out', 'merged']), named);
  }
  const scaled = ['demo_lora', 'x', 'fine.safetensors', '--sdmodel', MODEL, ...SMALL, '--lora-scale', '1e39'];
  oneLine(await project.run(scaled), /(sample_step|decode_image): .+ is (NaN|-?Infinity), .*--lora-scale/);
  oneLine(
    await project.run(['merge-lora', MODEL, 'fine.safetensors', '--out', 'merged', '--lora-scale', '1e39']),
    /unet tensor ".+to_q\.weight" would hold -?(Infinity|NaN) .+smaller --lora-scale/,
  );
  oneLine(
    await project.run(['demo', 'x', MODEL, ...SMALL, '--guidance', '1e39', '--steps', '3']),
    / is (NaN|-?Infinity), .+guidance/,
  );
  t.strictSame(project.files(), ['fine.safetensors', 'inf.safetensors', 'nan.safetensors']);
});

void t.test(
  'a program whose result is no number names a weight, a trained value, an input, or the growth',
  async (t) => {
    const backend = new ReferenceBackend({}),
      x = input('x', [2]);
    const run = async (y: Parameters<typeof mul>[0], fed: number): Promise<unknown> =>
      (await compileFinite(backend, { name: 'p', outputs: { y } as never })).run({ x: float32([fed, 1], [2]) });
    const w = weight({ key: 'w', value: float32([1, -Infinity], [2]) }, { dtype: 'float32', shape: [2] });
    await t.rejects(run(mul(x, w), 1), {
      name: 'UserError',
      message: /^adapter: tensor "w": holds -Infinity \(value 1 of 2\), so that p: y is -Infinity;/,
    });
    await backend.states.write('s', float32([NaN, 0], [2]));
    await t.rejects(run(mul(x, state('s', [2])), 1), {
      message: /^trained values s: holds NaN \(value 0 of 2\), so that p: y is NaN;/,
    });
    await t.rejects(run(mul(x, 2), NaN), { message: /^p: y is NaN, for its input "x" already is no number;/ });
    await t.rejects(run(div(x, 0), 1), {
      message: /^p: y is Infinity, and all weights are numbers: values grow beyond float32;/,
    });
    t.strictSame(await run(mul(x, 2), 3), { y: float32([6, 2], [2]) });
  },
);

void t.test('the first value that is no number is found in every float type', (t) => {
  const words = (dtype: 'float16' | 'bfloat16', ...values: number[]) => ({
    dtype,
    shape: [values.length],
    data: Uint16Array.from(values),
  });
  for (const [tensor, at, name] of [
    [float32([1, -Infinity], [2]), 1, '-Infinity'],
    [float32([NaN, 0], [2]), 0, 'NaN'],
    [words('float16', 0x7bff, 0xfc00), 1, '-Infinity'], // 0x7bff is 65504
    [words('float16', 0x7c01), 0, 'NaN'],
    [words('bfloat16', 0x7f7f, 0x7f80), 1, 'Infinity'],
    [words('bfloat16', 0xffc0), 0, 'NaN'],
  ] as const) {
    t.equal(firstNonFinite(tensor), at);
    t.equal(nameOfNonFinite(tensor, at), name);
  }
  t.equal(firstNonFinite({ dtype: 'int64', shape: [1], data: BigInt64Array.from([-1n]) }), -1);
  t.equal(firstNonFinite(float32([3e38, -0], [2])), -1);
  t.end();
});
