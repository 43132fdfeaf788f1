import { readFile } from 'node:fs/promises';
import t from 'tap';
import type { RawConfig } from '../../src/networks/component-config.js';
import { FrozenSource } from '../../src/formats/frozen-source.js';
import { Scope, type RecordingSource } from '../../src/networks/layers/scope.js';
import { recorded, recordVae } from '../../src/networks/record.js';
import { LAYOUTS } from '../../src/models/random-model.js';
import { vaeDecode, vaeEncode } from '../../src/networks/vae.js';
import { parseVaeConfig } from '../../src/networks/vae-config.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { float32, floats, sizeOf, type Shape } from '../../src/tensor/host.js';
import { input } from '../../src/tensor/tensor.js';
import { evaluate, onnxRuntime, sourceOf, TINY, total, wave } from '../fixtures/networks/networks.js';

const stages = (n: number): RawConfig => ({
  down_block_types: Array(n).fill('DownEncoderBlock2D'),
  up_block_types: Array(n).fill('UpDecoderBlock2D'),
});
const shapesOf = (raw: RawConfig): RecordingSource['shapes'] =>
  recorded((s) => recordVae(s, parseVaeConfig(raw, 'config.json')));
const backend = onnxRuntime(t);

void t.test("Stable Diffusion's VAE has the published number of parameters in each half", (t) => {
  const shapes = shapesOf({ ...stages(4), ...LAYOUTS['sd15'].vae });
  t.equal(total(shapes), 83_653_863);
  t.equal(total(shapes, 'encoder.'), 34_163_592);
  t.equal(total(shapes, 'decoder.'), 49_490_179);
  t.equal(total(shapes, 'quant_conv.'), 72);
  t.equal(total(shapes, 'post_quant_conv.'), 20);
  t.end();
});

void t.test('parts that a config leaves out have no parameters', (t) => {
  const small: RawConfig = { ...stages(2), block_out_channels: [8, 16], norm_num_groups: 4 };
  const without = (change: RawConfig): string[] => {
    const left = shapesOf({ ...small, ...change });
    return [...shapesOf(small).keys()].filter((name) => !left.has(name));
  };
  t.strictSame(without({ use_quant_conv: false }), ['quant_conv.weight', 'quant_conv.bias']);
  t.strictSame(without({ use_post_quant_conv: false }), ['post_quant_conv.weight', 'post_quant_conv.bias']);
  t.equal(without({ mid_block_add_attention: false }).length, 20);
  t.ok(without({ mid_block_add_attention: false }).every((name) => name.includes('.mid_block.attentions.0.')));
  t.end();
});

void t.test("fields that older files lack have diffusers' defaults", (t) => {
  t.strictSame(parseVaeConfig({ ...stages(4), block_out_channels: [128, 256, 512, 512], layers_per_block: 2 }, 'x'), {
    inChannels: 3,
    outChannels: 3,
    latentChannels: 4,
    blockOutChannels: [128, 256, 512, 512],
    layersPerBlock: 2,
    normGroups: 32,
    scalingFactor: 0.18215,
    useQuantConv: true,
    usePostQuantConv: true,
    midAttention: true,
  });
  t.end();
});

void t.test('a field or value that is not known is refused by name', (t) => {
  const refused = (raw: RawConfig, message: string | RegExp): void =>
    void t.throws(() => parseVaeConfig({ ...stages(1), ...raw }, 'vae/config.json'), { name: 'UserError', message });
  refused({ shift_factor: 0.1 }, 'vae/config.json: shift_factor = 0.1 is not supported; supported: null');
  refused(
    { _class_name: 'AutoencoderTiny' },
    'vae/config.json: _class_name = "AutoencoderTiny" is not supported; supported: "AutoencoderKL"',
  );
  refused(
    { down_block_types: ['AttnDownEncoderBlock2D'] },
    'vae/config.json: block type "AttnDownEncoderBlock2D" is not supported; supported: DownEncoderBlock2D',
  );
  refused(
    { block_out_channels: [64, 64] },
    'vae/config.json: down_block_types has 1 entries, block_out_channels 2; they must agree',
  );
  refused(
    { block_out_channels: [48] },
    'vae/config.json: block_out_channels 48 is not a multiple of norm_num_groups 32',
  );
  refused({ scaling_factor: null }, 'vae/config.json: scaling_factor = null is not supported; it must be a number');
  refused({ gan: true }, 'vae/config.json: unknown field "gan" = true; it may change the model, so it is not ignored');
  t.end();
});

void t.test('pictures become latents an eighth their size and come back, whatever the sides', async (t) => {
  const config = parseVaeConfig(
    JSON.parse(await readFile(`${TINY}/vae/config.json`, 'utf8')) as RawConfig,
    'config.json',
  );
  const scope = new Scope(new FrozenSource(await openSafetensors(`${TINY}/vae/diffusion_pytorch_model.safetensors`)));
  const { mean, logvar } = vaeEncode(scope, input('image', [2, 3, 40, 24]), config);
  const decoded = vaeDecode(scope, input('latents', [2, 4, 5, 3]), config);
  const results = await evaluate(
    backend,
    { mean, logvar, decoded },
    { image: wave([2, 3, 40, 24]), latents: wave([2, 4, 5, 3]) },
  );
  t.strictSame(
    [results['mean'].shape, results['logvar'].shape, results['decoded'].shape],
    [
      [2, 4, 5, 3],
      [2, 4, 5, 3],
      [2, 3, 40, 24],
    ],
  );
  for (const [name, value] of Object.entries(results)) {
    const values = floats(value);
    t.ok(values.every(Number.isFinite), name);
    t.ok(new Set(values).size > values.length / 2, `${name} varies`);
  }
});

void t.test('the log variance is held between -30 and 20', async (t) => {
  const config = parseVaeConfig({ ...stages(1), block_out_channels: [4], norm_num_groups: 2, latent_channels: 1 }, 'x');
  for (const [bias, expected] of [
    [50, 20],
    [-50, -30],
    [3, 3],
  ]) {
    const zeros = (name: string, shape: Shape): Float32Array =>
      new Float32Array(sizeOf(shape)).fill(name === 'quant_conv.bias' ? bias : 0);
    const { logvar, mean } = vaeEncode(
      new Scope(sourceOf((name, shape) => float32(zeros(name, shape), shape))),
      input('image', [1, 3, 2, 2]),
      config,
    );
    const results = await evaluate(backend, { logvar, mean }, { image: wave([1, 3, 2, 2]) });
    t.strictSame([...floats(results['logvar'])], [expected, expected, expected, expected]);
    t.strictSame([...floats(results['mean'])], [bias, bias, bias, bias]);
  }
});
