/** CLIP's picture tower against plain loops, folders of CLIPModel, preprocessing, and features in batches. */
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { image } from '../../src/datasets/image/picture.js';
import { resample } from '../../src/datasets/image/resample.js';
import { openClip, parseClipConfig, pooledRows, recordClip } from '../../src/formats/clip-folder.js';
import { ClipFeatures } from '../../src/sampling/clip-features.js';
import { parsePreprocess, preprocess, preprocessorConfig } from '../../src/formats/picture-preprocess.js';
import { clipVision, parseClipVisionConfig, type ClipVisionConfig } from '../../src/networks/clip-vision.js';
import type { RawConfig } from '../../src/networks/component-config.js';
import { Scope } from '../../src/networks/layers/scope.js';
import { recorded } from '../../src/networks/record.js';
import { writeRandomClip } from '../../src/models/random-clip.js';
import { fromFloat32 } from '../../src/formats/float-formats.js';
import { openSafetensors, writeSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { float32, floats, type HostTensor, type Shape } from '../../src/tensor/host.js';
import { input } from '../../src/tensor/tensor.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { evaluate, onnxRuntime, sourceOf, total, wave } from '../fixtures/networks/networks.js';
import { relativeError } from '../golden.js';

t.setTimeout(120_000);
const backend = onnxRuntime(t),
  reference = new ReferenceBackend({}),
  log = new Lines();
const start = join(t.testdir(), 'clip');
const LAYOUT = {
  text: {
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 8,
  },
  vision: {
    image_size: 16,
    patch_size: 8,
    hidden_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    intermediate_size: 32,
  },
  projection_dim: 12,
};
await writeRandomClip(start, LAYOUT, ['a', 'red', 'blue', 'dog', 'cup'], 5);
const jsonOf = async (path: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;

/** A copy of the folder, with fields of its config.json changed. */
async function folderWith(
  folder: string,
  change: (config: Record<string, Record<string, unknown>>) => object = (c) => c,
): Promise<string> {
  await cp(start, folder, { recursive: true });
  const config = join(folder, 'config.json');
  await writeFile(config, JSON.stringify(change((await jsonOf(config)) as Record<string, Record<string, unknown>>)));
  return folder;
}
/** Pictures of 16 px that differ everywhere. */
const picture = (seed: number, height = 16, width = 16): HostTensor =>
  image(
    Uint8Array.from({ length: height * width * 3 }, (_, i) => (i * (7 + seed) + seed * 31 + (i >> 4) * 13) % 256),
    height,
    width,
  );

const SMALL: ClipVisionConfig = {
  imageSize: 7,
  patchSize: 3,
  hiddenSize: 4,
  intermediateSize: 6,
  layers: 2,
  heads: 2,
  normEps: 1e-5,
  activation: 'quick_gelu',
};
const values = (name: string, shape: Shape): HostTensor => {
  const w = wave(
    shape,
    [...name].reduce((n, c) => n + c.charCodeAt(0), 0),
  );
  return /norm\d?\.weight|layrnorm\.weight/.test(name)
    ? float32(
        floats(w).map((v) => 1 + 0.2 * v),
        shape,
      )
    : w;
};

/** The tower as loops over numbers, written from the paper and the names alone. */
function byHand(pixels: Float32Array, c: ClipVisionConfig): { states: number[][]; pooled: number[] } {
  const D = c.hiddenSize,
    K = D / c.heads,
    n = Math.floor(c.imageSize / c.patchSize),
    p = c.patchSize;
  const of = (name: string, shape: Shape): Float32Array => floats(values(`vision_model.${name}`, shape));
  const norm = (name: string, x: number[]): number[] => {
    const mean = x.reduce((a, b) => a + b) / D,
      deviation = Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / D + c.normEps);
    return x.map((v, d) => ((v - mean) / deviation) * of(`${name}.weight`, [D])[d] + of(`${name}.bias`, [D])[d]);
  };
  const dense = (name: string, x: number[], out: number): number[] =>
    Array.from({ length: out }, (_, o) =>
      x.reduce(
        (a, v, i) => a + v * of(`${name}.weight`, [out, x.length])[o * x.length + i],
        of(`${name}.bias`, [out])[o],
      ),
    );
  const kernel = of('embeddings.patch_embedding.weight', [D, 3, p, p]),
    position = of('embeddings.position_embedding.weight', [n * n + 1, D]);
  const tokens = [[...of('embeddings.class_embedding', [D])]];
  for (let row = 0; row < n; row++)
    for (let column = 0; column < n; column++)
      tokens.push(
        Array.from({ length: D }, (_, d) => {
          let sum = 0;
          for (let ch = 0; ch < 3; ch++)
            for (let y = 0; y < p; y++)
              for (let x = 0; x < p; x++) {
                sum +=
                  kernel[((d * 3 + ch) * p + y) * p + x] *
                  pixels[(ch * c.imageSize + row * p + y) * c.imageSize + column * p + x];
              }
          return sum;
        }),
      );
  let states = tokens.map((token, i) =>
    norm(
      'pre_layrnorm',
      token.map((v, d) => v + position[i * D + d]),
    ),
  );
  for (let l = 0; l < c.layers; l++) {
    const at = `encoder.layers.${l}`,
      normed = states.map((x) => norm(`${at}.layer_norm1`, x));
    const [q, k, v] = ['q_proj', 'k_proj', 'v_proj'].map((name) =>
      normed.map((x) => dense(`${at}.self_attn.${name}`, x, D)),
    );
    states = states.map((x, i) => {
      const mixed = Array.from({ length: D }, (_, d) => {
        const head = Math.floor(d / K) * K;
        const scores = k.map(
          (key) =>
            Array.from({ length: K }, (_, j) => q[i][head + j] * key[head + j]).reduce((a, b) => a + b) / Math.sqrt(K),
        );
        const weights = scores.map(Math.exp),
          sum = weights.reduce((a, b) => a + b);
        return weights.reduce((a, w, s) => a + (w / sum) * v[s][d], 0);
      });
      const attended = dense(`${at}.self_attn.out_proj`, mixed, D).map((y, d) => x[d] + y);
      const hidden = dense(`${at}.mlp.fc1`, norm(`${at}.layer_norm2`, attended), c.intermediateSize);
      const active = hidden.map((h) =>
        c.activation === 'quick_gelu'
          ? h / (1 + Math.exp(-1.702 * h))
          : 0.5 * h * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (h + 0.044715 * h ** 3))),
      );
      return dense(`${at}.mlp.fc2`, active, D).map((y, d) => attended[d] + y);
    });
  }
  return { states, pooled: norm('post_layernorm', states[0]) };
}

void t.test(
  'the tower computes what loops over numbers do, on both engines; the rest of a picture that fills no patch is not seen',
  async (t) => {
    for (const [activation, limit] of [
      ['quick_gelu', 1e-5],
      ['gelu', 2e-3],
    ] as const) {
      // the loops' gelu is the tanh approximation
      const config = { ...SMALL, activation },
        pixels = wave([2, 3, 7, 7], 4);
      const outputs = clipVision(new Scope(sourceOf(values)), input('pixels', [2, 3, 7, 7]), config);
      for (const engine of [backend, reference]) {
        const { lastHiddenState, pooled } = await evaluate(engine, { ...outputs }, { pixels });
        t.strictSame(lastHiddenState.shape, [2, 5, 4]);
        const expected = [0, 1].map((b) => byHand(floats(pixels).subarray(b * 147, (b + 1) * 147), config));
        t.ok(
          relativeError(
            floats(lastHiddenState),
            expected.flatMap(({ states }) => states.flat()),
          ) < limit,
          activation,
        );
        t.ok(
          relativeError(
            floats(pooled),
            expected.flatMap((e) => e.pooled),
          ) < limit,
          activation,
        );
      }
    }
  },
);

void t.test('every patch sees every other: the first one changes with the last pixel', async (t) => {
  const outputs = clipVision(new Scope(sourceOf(values)), input('pixels', [1, 3, 7, 7]), SMALL);
  const at = wave([1, 3, 7, 7]),
    moved = float32(
      floats(at).map((v, i) => (i === 5 * 7 + 5 ? v + 1 : v)),
      at.shape,
    );
  const [before, after] = [
    await evaluate(backend, { ...outputs }, { pixels: at }),
    await evaluate(backend, { ...outputs }, { pixels: moved }),
  ];
  const patch = (states: HostTensor, i: number): Float32Array => floats(states).subarray(i * 4, (i + 1) * 4);
  for (const i of [0, 1, 4])
    t.ok(relativeError(patch(after['lastHiddenState'], i), patch(before['lastHiddenState'], i)) > 1e-3, `token ${i}`);
  t.throws(() => clipVision(new Scope(sourceOf(values)), input('pixels', [1, 3, 8, 8]), SMALL), {
    message: 'clip vision: pictures of 8x8 pixels, the model takes 7x7',
  });
});

void t.test("OpenAI's CLIPs have the published numbers of parameters", (t) => {
  const count = (raw: RawConfig): number =>
    total(recorded((s) => recordClip(s, parseClipConfig({ model_type: 'clip', ...raw }, 'config.json'))));
  t.equal(count({ text_config: {}, vision_config: {} }), 151_277_313, 'ViT-B/32, all defaults');
  t.equal(count({ text_config: {}, vision_config: { patch_size: 16 } }), 149_620_737, 'ViT-B/16');
  // As the file of openai/clip-vit-large-patch14 has it: fields twice, and those of generation in both towers.
  const generation = {
    eos_token_id: null,
    bos_token_id: null,
    dropout: 0,
    exponential_decay_length_penalty: null,
    pruned_heads: {},
    typical_p: 1,
    use_bfloat16: false,
    architectures: null,
    tf_legacy_loss: false,
  };
  const large = {
    architectures: ['CLIPModel'],
    initializer_factor: 1,
    logit_scale_init_value: 2.6592,
    projection_dim: 768,
    torch_dtype: 'float32',
    transformers_version: null,
    text_config: {
      ...generation,
      model_type: 'clip_text_model',
      eos_token_id: 2,
      hidden_size: 768,
      intermediate_size: 3072,
      num_attention_heads: 12,
      num_hidden_layers: 12,
      hidden_act: 'quick_gelu',
    },
    text_config_dict: { hidden_size: 768, intermediate_size: 3072, num_attention_heads: 12, num_hidden_layers: 12 },
    vision_config: { ...generation, model_type: 'clip_vision_model', num_channels: 3 },
    vision_config_dict: {
      hidden_size: 1024,
      intermediate_size: 4096,
      num_attention_heads: 16,
      num_hidden_layers: 24,
      patch_size: 14,
    },
  };
  t.equal(count(large), 427_616_513, 'ViT-L/14');
  t.equal(parseClipConfig({ model_type: 'clip', ...large }, 'x').text.eosTokenId, 2);
  t.end();
});

void t.test('a field or value that is not known is refused by name', (t) => {
  const refused = (raw: RawConfig, message: string | RegExp): void =>
    void t.throws(() => parseClipConfig({ text_config: {}, vision_config: {}, ...raw }, 'clip/config.json'), {
      name: 'UserError',
      message,
    });
  refused(
    { vision_config: { hidden_act: 'silu' } },
    'clip/config.json: vision_config: hidden_act = "silu" is not supported; supported: "quick_gelu", "gelu"',
  );
  refused(
    { vision_config: { num_channels: 4 } },
    'clip/config.json: vision_config: num_channels = 4 is not supported; supported: 3',
  );
  refused(
    { vision_config: { qkv_bias: false } },
    'clip/config.json: vision_config: unknown field "qkv_bias" = false; it may change the model, so it is not ignored',
  );
  refused(
    { vision_config: { hidden_size: 100 } },
    'clip/config.json: vision_config: hidden_size 100 is not a multiple of num_attention_heads 12',
  );
  refused(
    { vision_config: { image_size: 16 } },
    'clip/config.json: vision_config: patch_size 32 is larger than image_size 16',
  );
  refused({ text_config: { rope_theta: 1 } }, /^clip\/config\.json: text_config: unknown field "rope_theta"/);
  refused({ model_type: 'siglip' }, 'clip/config.json: model_type = "siglip" is not supported; supported: "clip"');
  refused({ architectures: ['CLIPVisionModel'] }, /architectures = \["CLIPVisionModel"\] is not supported/);
  refused(
    { vision_config: null },
    'clip/config.json: no "vision_config"; a CLIP checkpoint (model_type "clip") has text_config and vision_config',
  );
  refused(
    { projection_dim: 0 },
    'clip/config.json: projection_dim = 0 is not supported; it must be a whole number from 1',
  );
  t.strictSame(parseClipVisionConfig({}, 'x'), {
    imageSize: 224,
    patchSize: 32,
    hiddenSize: 768,
    intermediateSize: 3072,
    layers: 12,
    heads: 12,
    normEps: 1e-5,
    activation: 'quick_gelu',
  });
  t.end();
});

void t.test('older checkpoints open: positions as buffers, float16, the end token by its largest id', async (t) => {
  const folder = await folderWith(join(t.testdir(), 'old'), (c) => ({
    ...c,
    text_config: { ...c['text_config'], eos_token_id: 2 },
  }));
  const weights = await openSafetensors(join(start, 'model.safetensors')),
    tensors: Record<string, HostTensor> = {};
  for (const [name] of weights.entries) tensors[name] = fromFloat32(await weights.read(name), 'float16');
  const positions = (n: number): HostTensor => ({
    dtype: 'int64',
    shape: [1, n],
    data: BigInt64Array.from({ length: n }, (_, i) => BigInt(i)),
  });
  await writeSafetensors(join(folder, 'model.safetensors'), {
    ...tensors,
    'text_model.embeddings.position_ids': positions(8),
    'vision_model.embeddings.position_ids': positions(5),
  });
  const [now, old] = [await ClipFeatures.open(start, backend, log), await ClipFeatures.open(folder, backend, log)];
  t.ok(relativeError((await old.images([picture(1)]))[0], (await now.images([picture(1)]))[0]) < 5e-3);
  t.ok(relativeError((await old.texts(['a red dog']))[0], (await now.texts(['a red dog']))[0]) < 5e-3);
  t.not(old.fingerprint, now.fingerprint);
  await Promise.all([now.dispose(), old.dispose()]);
});

void t.test('folders with something wrong are refused by file', async (t) => {
  const refused = async (
    name: string,
    change: Parameters<typeof folderWith>[1],
    message: RegExp,
    more: (folder: string) => Promise<void> = async () => {},
  ): Promise<void> => {
    const folder = await folderWith(join(t.testdirName, name), change);
    await more(folder);
    await t.rejects(openClip(folder), { name: 'UserError', message }, name);
  };
  t.testdir();
  await refused(
    'width',
    (c) => ({ ...c, projection_dim: 10 }),
    /model\.safetensors: tensor "text_projection\.weight" has shape \[12,16\], the config\.json asks for \[10,16\]/,
  );
  await refused(
    'layers',
    (c) => ({ ...c, vision_config: { ...c['vision_config'], num_hidden_layers: 3 } }),
    /model\.safetensors: missing vision_model\.encoder\.layers\.2\./,
  );
  await refused(
    'positions',
    (c) => c,
    /the tokenizer gives 77 tokens, the text tower has 8 positions; they are of different models$/,
    async (folder) => writeFile(join(folder, 'tokenizer_config.json'), '{}'),
  );
  await refused(
    'weights',
    (c) => c,
    /no weights; looked for model\.safetensors/,
    (folder) => rm(join(folder, 'model.safetensors')),
  );
  await refused(
    'tokens',
    (c) => c,
    /the tokenizer gives the id \d{4}, the text tower knows \d+ tokens; they are of different models$/,
    async (folder) => {
      const file = join(folder, 'vocab.json');
      await writeFile(file, JSON.stringify({ ...(await jsonOf(file)), '<|endoftext|>': 5000 }));
    },
  );
});

void t.test('pictures are resized by their shorter side, cut from the centre, and normalised', (t) => {
  const settings = parsePreprocess({}, 4, 'x');
  t.strictSame(
    { resize: settings.resize, interpolation: settings.interpolation, size: settings.size },
    { resize: 4, interpolation: 'bicubic', size: 4 },
  );
  const into = new Float32Array(48);
  preprocess(image(new Uint8Array(6 * 9 * 3).fill(128), 6, 9), settings, into);
  [0.07689, 0.16909, 0.33999].forEach((expected, c) =>
    t.ok(
      Math.abs(
        into[c * 16 + 5] -
          (128 / 255 - [0.48145466, 0.4578275, 0.40821073][c]) / [0.26862954, 0.26130258, 0.27577711][c],
      ) < 1e-6 && Math.abs(into[c * 16] - expected) < 1e-3,
      `${into[c * 16]}`,
    ),
  );
  // 4 high, 7 wide: nothing to resize, one column goes on the left and two on the right.
  const wide = picture(2, 4, 7),
    plain = { ...settings, rescale: 1, mean: [0, 0, 0], std: [1, 1, 1] };
  preprocess(wide, plain, into);
  for (const [x, y, c] of [
    [0, 0, 0],
    [3, 3, 2],
    [1, 2, 1],
  ])
    t.equal(into[c * 16 + y * 4 + x], wide.data[(y * 7 + x + 1) * 3 + c]);
  preprocess(picture(3, 12, 8), plain, into); // 6x4 after resizing, without its first and last row
  const small = resample(image(picture(3, 12, 8).data as Uint8Array, 12, 8), 6, 4, 'bicubic');
  t.strictSame([...into.subarray(0, 16)], [...small.data.filter((_, i) => i % 3 === 0)].slice(4, 20));
  preprocess(picture(3, 12, 8), { ...plain, resize: [4, 4] }, into);
  t.equal(
    into[5],
    resample(image(picture(3, 12, 8).data as Uint8Array, 12, 8), 4, 4, 'bicubic').data[15],
    'or squeezed, when both sides are given',
  );
  t.throws(() => preprocess(float32([1], [1]), settings, into), {
    message: 'expected a picture, uint8 [H, W, 3]; got float32 [1]',
  });
  t.end();
});

void t.test('preprocessor_config.json is honoured in its old and new form, or refused by field', (t) => {
  const old = {
    crop_size: 224,
    do_center_crop: true,
    do_normalize: true,
    do_resize: true,
    feature_extractor_type: 'CLIPFeatureExtractor',
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_std: [0.26862954, 0.26130258, 0.27577711],
    resample: 3,
    size: 224,
  };
  const expected = parsePreprocess({}, 224, 'x');
  t.strictSame(parsePreprocess(old, 224, 'x'), expected);
  t.strictSame(
    parsePreprocess(
      {
        ...old,
        size: { shortest_edge: 224 },
        crop_size: { height: 224, width: 224 },
        do_rescale: true,
        rescale_factor: 1 / 255,
        do_convert_rgb: true,
        image_processor_type: 'CLIPImageProcessor',
      },
      224,
      'x',
    ),
    expected,
  );
  t.strictSame(parsePreprocess(preprocessorConfig(expected), 224, 'x'), expected, 'what is written is read');
  const squeezed = parsePreprocess({ do_center_crop: false, size: { height: 224, width: 224 }, resample: 2 }, 224, 'x');
  t.strictSame([squeezed.resize, squeezed.interpolation], [[224, 224], 'bilinear']);
  const refused = (raw: RawConfig, message: string): void =>
    void t.throws(() => parsePreprocess(raw, 224, 'p.json'), { name: 'UserError', message });
  refused(
    { crop_size: 336, size: 336 },
    'p.json: gives pictures of [336,336] pixels, the model takes 224x224; set crop_size to 224',
  );
  refused(
    { do_center_crop: false, size: 224 },
    'p.json: gives pictures of 224 pixels, the model takes 224x224; set crop_size to 224',
  );
  refused({ size: 200, crop_size: 224 }, 'p.json: size = 200 is smaller than the crop of 224 pixels; set size to 224');
  refused(
    { size: { longest_edge: 224 } },
    'p.json: size = {"longest_edge":224} is not supported; it must be a number of pixels, {"shortest_edge": n} or {"height": n, "width": n}',
  );
  refused(
    { resample: 5 },
    'p.json: resample = 5 is not supported; supported: 0 (nearest), 1 (lanczos), 2 (bilinear), 3 (bicubic)',
  );
  refused({ image_std: [1, 0, 1] }, 'p.json: image_std = [1,0,1] is not supported; it must be three numbers above 0');
  refused({ image_mean: 0.5 }, 'p.json: image_mean = 0.5 is not supported; it must be three numbers');
  refused({ do_normalize: false }, 'p.json: do_normalize = false is not supported; supported: true');
  refused({ do_flip: true }, 'p.json: unknown field "do_flip" = true; it may change the model, so it is not ignored');
  t.end();
});

void t.test('features do not depend on what else is asked for, nor on the engine', async (t) => {
  const clip = await ClipFeatures.open(start, backend, log),
    slow = await ClipFeatures.open(start, reference, log);
  t.equal(clip.dimension, 12);
  const pictures = Array.from({ length: 35 }, (_, i) => picture(i)),
    all = await clip.images(pictures);
  t.equal(all.length, 35);
  for (const i of [0, 31, 32, 34])
    t.ok(relativeError((await clip.images([pictures[i]]))[0], all[i]) < 1e-5, `picture ${i}`);
  t.ok(relativeError(all[1], all[0]) > 1e-3);
  const three = await slow.images(pictures.slice(0, 3));
  three.forEach((features, i) => t.ok(relativeError(features, all[i]) < 1e-5));
  const texts = await clip.texts(['a red dog', 'a cup', 'A  red DOG']);
  t.ok(relativeError(texts[2], texts[0]) < 1e-6);
  t.ok(relativeError(texts[1], texts[0]) > 1e-3);
  t.ok(relativeError((await slow.texts(['a cup']))[0], texts[1]) < 1e-5);
  t.strictSame(await clip.images([]), []);
  await clip.texts(['a red dog a blue cup a dog', 'a red dog a blue cup a dog']);
  t.strictSame(
    log.lines.filter((l) => l.startsWith('warning')),
    ['warning: prompt: longer than 8 tokens, the end is cut off: "a red dog a blue cup a dog"'],
    'said once',
  );
  await Promise.all([clip.dispose(), slow.dispose()]);
});

void t.test('a text is read at its end token, wherever the padding', (t) => {
  const { text } = parseClipConfig({ text_config: { eos_token_id: 9 }, vision_config: {} }, 'x');
  t.strictSame([...pooledRows([Int32Array.of(8, 1, 9, 9), Int32Array.of(8, 9, 0, 0)], text)], [2, 5]);
  t.end();
});

void t.test('the same seed writes the same folder, with the deviations CLIP starts from', async (t) => {
  const [again, other] = ['again', 'other'].map((name) => join(t.testdir(), name));
  await writeRandomClip(again, LAYOUT, ['a', 'red', 'blue', 'dog', 'cup'], 5);
  await writeRandomClip(other, LAYOUT, ['a', 'red', 'blue', 'dog', 'cup'], 6);
  const bytes = (folder: string): Promise<Buffer> => readFile(join(folder, 'model.safetensors'));
  t.ok((await bytes(again)).equals(await bytes(start)));
  t.notOk((await bytes(other)).equals(await bytes(start)));
  const weights = await openSafetensors(join(start, 'model.safetensors'));
  const deviation = async (name: string): Promise<number> => {
    const data = floats(await weights.read(name));
    return Math.sqrt(data.reduce((a, v) => a + v * v, 0) / data.length);
  };
  for (const [name, expected] of [
    ['text_model.embeddings.token_embedding.weight', 0.02],
    ['vision_model.embeddings.patch_embedding.weight', 0.02],
    ['vision_model.encoder.layers.1.self_attn.q_proj.weight', 24 ** -0.5 * 4 ** -0.5],
    ['vision_model.encoder.layers.0.mlp.fc2.weight', 24 ** -0.5 * 4 ** -0.5],
    ['vision_model.encoder.layers.0.mlp.fc1.weight', 48 ** -0.5],
    ['vision_model.encoder.layers.0.self_attn.out_proj.weight', 24 ** -0.5],
    ['text_model.encoder.layers.0.mlp.fc1.weight', 32 ** -0.5],
    ['text_projection.weight', 16 ** -0.5],
    ['visual_projection.weight', 24 ** -0.5],
  ] as const)
    t.ok(Math.abs((await deviation(name)) / expected - 1) < 0.15, `${name}: ${await deviation(name)} for ${expected}`);
  t.equal(await deviation('vision_model.pre_layrnorm.weight'), 1);
  t.equal(await deviation('vision_model.pre_layrnorm.bias'), 0);
  t.ok(Math.abs(floats(await weights.read('logit_scale'))[0] - 2.6592) < 1e-6);
  await t.rejects(writeRandomClip(start, LAYOUT, [], 0), { name: 'UserError', message: /exists and is not empty/ });
});
