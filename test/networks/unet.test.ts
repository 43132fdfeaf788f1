import { readFile } from 'node:fs/promises';
import t from 'tap';
import type { RawConfig } from '../../src/networks/component-config.js';
import { FrozenSource } from '../../src/formats/frozen-source.js';
import { downsample, upsample } from '../../src/networks/layers/resnet.js';
import { Scope } from '../../src/networks/layers/scope.js';
import { recorded, recordUnet } from '../../src/networks/record.js';
import { LAYOUTS } from '../../src/models/random-model.js';
import { unet, type UNetOutputs } from '../../src/networks/unet.js';
import { parseUNetConfig, type UNetConfig } from '../../src/networks/unet-config.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { float32, floats, type HostTensor, type Shape } from '../../src/tensor/host.js';
import { constant, input } from '../../src/tensor/tensor.js';
import { evaluate, onnxRuntime, sourceOf, TINY, total, valueOf, wave } from '../fixtures/networks/networks.js';
import { golden, relativeError, skipGolden } from '../golden.js';

const json = async (path: string): Promise<RawConfig> => JSON.parse(await readFile(path, 'utf8')) as RawConfig;
const shapesOf = (raw: RawConfig): ReadonlyMap<string, Shape> =>
  recorded((s) => recordUnet(s, parseUNetConfig(raw, 'config.json')));
const backend = onnxRuntime(t);

const SD21: RawConfig = {
  cross_attention_dim: 1024,
  attention_head_dim: [5, 10, 20, 20],
  use_linear_projection: true,
  sample_size: 96,
};

void t.test('full-size U-Nets have the published numbers of parameters and tensors', (t) => {
  const published: readonly (readonly [string, RawConfig, number, number])[] = [
    ['Stable Diffusion 1.x', LAYOUTS['sd15'].unet, 859_520_964, 686],
    ['small-sd, BK-SDM Base', LAYOUTS['small'].unet, 579_384_964, 442],
    ['BK-SDM Small', LAYOUTS['bk_small'].unet, 482_346_884, 396],
    ['tiny-sd, BK-SDM Tiny', LAYOUTS['tiny'].unet, 323_384_964, 358],
    ['Stable Diffusion 2.1', SD21, 865_910_724, 686],
  ];
  for (const [name, raw, parameters, tensors] of published) {
    const shapes = shapesOf(raw);
    t.equal(total(shapes), parameters, name);
    t.equal(shapes.size, tensors, name);
  }
  t.end();
});

void t.test(
  'every U-Net config that BK-SDM and segmind publish has its published counts',
  { skip: skipGolden },
  async (t) => {
    const configs = (await json(golden('unet_configs.json'))) as Record<string, Record<string, RawConfig>>;
    const { counts } = (await json(golden('param_counts.json'))) as {
      counts: Record<string, { params: number; tensors: number; 'attention_linears(to_q,k,v,out)': number }>;
    };
    const named = [
      ...Object.entries(configs['bk_sdm']).map(([name, raw]) => [`${name} unet`, raw] as const),
      ...Object.entries(configs['segmind']),
    ];
    t.equal(named.length, 11);
    for (const [name, raw] of named) {
      const shapes = shapesOf(raw),
        expected = counts[name];
      t.equal(total(shapes), expected.params, name);
      t.equal(shapes.size, expected.tensors, name);
      t.equal(
        [...shapes.keys()].filter((key) => /\.(to_q|to_k|to_v|to_out\.0)\.weight$/.test(key)).length,
        expected['attention_linears(to_q,k,v,out)'],
        name,
      );
    }
  },
);

void t.test("fields that older files lack have diffusers' defaults", (t) => {
  t.strictSame(parseUNetConfig({}, 'x'), {
    inChannels: 4,
    outChannels: 4,
    sampleSize: 64,
    blockOutChannels: [320, 640, 1280, 1280],
    layersPerBlock: [2, 2, 2, 2],
    heads: [8, 8, 8, 8],
    transformerLayers: [1, 1, 1, 1],
    downAttention: [true, true, true, false],
    upAttention: [false, true, true, true],
    hasMidBlock: true,
    crossAttentionDim: 1280,
    timeEmbedDim: 1280,
    normGroups: 32,
    normEps: 1e-5,
    flipSinToCos: true,
    freqShift: 0,
    downsamplePadding: 1,
    useLinearProjection: false,
  });
  t.strictSame(
    parseUNetConfig({ num_attention_heads: null, attention_head_dim: [5, 10, 20, 20] }, 'x').heads,
    [5, 10, 20, 20],
    'attention_head_dim is the number of heads',
  );
  t.strictSame(parseUNetConfig({ num_attention_heads: 4, attention_head_dim: 8 }, 'x').heads, [4, 4, 4, 4]);
  t.end();
});

void t.test('a field or value that is not known is refused by name', (t) => {
  const refused = (raw: RawConfig, message: string | RegExp): void =>
    void t.throws(() => parseUNetConfig(raw, 'unet/config.json'), { name: 'UserError', message });
  refused(
    { dual_cross_attention: true },
    'unet/config.json: dual_cross_attention = true is not supported; supported: false',
  );
  refused(
    { class_embed_type: 'timestep' },
    'unet/config.json: class_embed_type = "timestep" is not supported; supported: null',
  );
  refused(
    { only_cross_attention: [true, true, true, false] },
    /only_cross_attention = \[true,true,true,false\] is not supported/,
  );
  refused(
    { mid_block_type: 'UNetMidBlock2D' },
    /mid_block_type = "UNetMidBlock2D" is not supported; supported: "UNetMidBlock2DCrossAttn", null/,
  );
  refused({ addition_embed_type: 'text_time' }, /addition_embed_type = "text_time"/);
  refused(
    { _class_name: 'UNet2DModel' },
    /_class_name = "UNet2DModel" is not supported; supported: "UNet2DConditionModel"/,
  );
  refused(
    { extra_gate: 3 },
    'unet/config.json: unknown field "extra_gate" = 3; it may change the model, so it is not ignored',
  );
  refused(
    { down_block_types: ['AttnDownBlock2D', 'DownBlock2D', 'DownBlock2D', 'DownBlock2D'] },
    /block type "AttnDownBlock2D" is not supported; supported: CrossAttnDownBlock2D, DownBlock2D/,
  );
  refused(
    { block_out_channels: [320, 640] },
    'unet/config.json: down_block_types has 4 values for 2 blocks; give one per entry of block_out_channels',
  );
  refused(
    { block_out_channels: '320' },
    'unet/config.json: block_out_channels = "320" is not supported; it must be a list of whole numbers from 1',
  );
  refused({ layers_per_block: [2, 2] }, /layers_per_block has 2 values for 4 blocks/);
  refused(
    { transformer_layers_per_block: [[1, 2], 1, 1, 1] },
    /transformer_layers_per_block = \[\[1,2\],1,1,1\] is not supported; it must be a whole number from 1 or a list of them/,
  );
  refused(
    { cross_attention_dim: [768, 768, 768, 768] },
    /cross_attention_dim = \[768,768,768,768\] is not supported; it must be a whole number from 1/,
  );
  refused({ in_channels: null }, /in_channels = null is not supported/);
  refused({ norm_num_groups: 48 }, 'unet/config.json: block_out_channels 320 is not a multiple of norm_num_groups 48');
  refused(
    { attention_head_dim: 7 },
    'unet/config.json: block_out_channels 320 is not a multiple of its 7 attention heads',
  );
  t.end();
});

void t.test('a downsampler pads all sides, or with padding 0 below and on the right', async (t) => {
  const picture = constant(float32([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], [1, 1, 4, 4]));
  const sums = new Scope(
    sourceOf((_name, shape) => float32(shape.length === 1 ? [0] : [1, 1, 1, 1, 1, 1, 1, 1, 1], shape)),
  );
  t.strictSame(await valueOf(downsample(sums, picture, 1)), [14, 30, 57, 99]);
  t.strictSame(await valueOf(downsample(sums, picture, 0)), [54, 45, 72, 54]);
});

void t.test('an upsampler fits its result to a skip connection one smaller than twice its size', async (t) => {
  const picture = constant(float32([1, 2, 3, 4], [1, 1, 2, 2]));
  const centre = new Scope(
    sourceOf((_name, shape) => float32(shape.length === 1 ? [0] : [0, 0, 0, 0, 1, 0, 0, 0, 0], shape)),
  );
  t.strictSame(await valueOf(upsample(centre, picture)), [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
  t.strictSame(await valueOf(upsample(centre, picture, [3, 3])), [1, 1, 2, 1, 1, 2, 3, 3, 4]);
});

/** The smallest model's U-Net. */
async function tiny(changes: RawConfig = {}): Promise<{ source: FrozenSource; config: UNetConfig }> {
  const config = parseUNetConfig({ ...(await json(`${TINY}/unet/config.json`)), ...changes }, 'config.json');
  return {
    source: new FrozenSource(await openSafetensors(`${TINY}/unet/diffusion_pytorch_model.safetensors`)),
    config,
  };
}

const graph = (
  { source, config }: { source: FrozenSource; config: UNetConfig },
  B: number,
  [h, w]: readonly [number, number],
  T = 7,
): UNetOutputs =>
  unet(
    new Scope(source),
    {
      sample: input('sample', [B, 4, h, w]),
      timesteps: input('timesteps', [B]),
      encoderHiddenStates: input('text', [B, T, config.crossAttentionDim]),
    },
    config,
  );

const feeds = (B: number, [h, w]: readonly [number, number]): Record<string, HostTensor> => ({
  sample: wave([B, 4, h, w]),
  timesteps: float32([999, 20].slice(0, B), [B]),
  text: wave([B, 7, 32]),
});

void t.test('latents of sizes that halve to odd ones come out in their size', async (t) => {
  const { out, taps } = graph(await tiny(), 2, [12, 20]);
  const results = await evaluate(backend, { out, ...taps }, feeds(2, [12, 20]));
  const shapes = Object.fromEntries(Object.entries(results).map(([name, { shape }]) => [name, shape]));
  t.strictSame(shapes, {
    out: [2, 4, 12, 20],
    conv_in: [2, 16, 12, 20],
    time_embedding: [2, 64],
    mid_block: [2, 32, 2, 3],
    'down_blocks.0': [2, 16, 6, 10],
    'down_blocks.1': [2, 32, 3, 5],
    'down_blocks.2': [2, 32, 2, 3],
    'down_blocks.3': [2, 32, 2, 3],
    'down_blocks.0.residual0': [2, 16, 12, 20],
    'down_blocks.0.residual1': [2, 16, 6, 10],
    'down_blocks.1.residual0': [2, 32, 6, 10],
    'down_blocks.1.residual1': [2, 32, 3, 5],
    'down_blocks.2.residual0': [2, 32, 3, 5],
    'down_blocks.2.residual1': [2, 32, 2, 3],
    'down_blocks.3.residual0': [2, 32, 2, 3],
    'up_blocks.0': [2, 32, 3, 5],
    'up_blocks.1': [2, 32, 6, 10],
    'up_blocks.2': [2, 32, 12, 20],
    'up_blocks.3': [2, 16, 12, 20],
  });
  const values = floats(results['out']);
  t.ok(values.every(Number.isFinite));
  const size = Math.sqrt(values.reduce((n, v) => n + v * v, 0) / values.length);
  t.ok(size > 0.1 && size < 10, `random weights keep activations in range: RMS ${size}`);
});

void t.test('a sample gives the same alone as in a batch', async (t) => {
  const model = await tiny(),
    size = [8, 8] as const,
    both = feeds(2, size);
  const first = Object.fromEntries(
    Object.entries(both).map(([name, { shape, data }]) => [
      name,
      float32((data as Float32Array).subarray(0, data.length / 2), [1, ...shape.slice(1)]),
    ]),
  );
  const batch = floats((await evaluate(backend, { out: graph(model, 2, size).out }, both))['out']);
  const alone = floats((await evaluate(backend, { out: graph(model, 1, size).out }, first))['out']);
  t.ok(relativeError(alone, batch.subarray(0, alone.length)) < 2e-6);
  t.ok(relativeError(alone, batch.subarray(alone.length)) > 0.1, 'the other sample is another one');
});

void t.test('a linear projection computes what the 1x1 convolution of the same weights does', async (t) => {
  const size = [8, 8] as const;
  for (const B of [1, 2]) {
    const convolved = await evaluate(backend, { out: graph(await tiny(), B, size).out }, feeds(B, size));
    const linear = await evaluate(
      backend,
      { out: graph(await tiny({ use_linear_projection: true }), B, size).out },
      feeds(B, size),
    );
    t.ok(relativeError(floats(linear['out']), floats(convolved['out'])) < 2e-6, `batch ${B}`);
  }
  t.strictSame(shapesOf({ use_linear_projection: true }).get('mid_block.attentions.0.proj_in.weight'), [1280, 1280]);
  t.strictSame(shapesOf({}).get('mid_block.attentions.0.proj_in.weight'), [1280, 1280, 1, 1]);
});
