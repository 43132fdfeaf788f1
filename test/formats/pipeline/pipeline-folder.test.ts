import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { clipText } from '../../../src/networks/clip-text.js';
import type { RawConfig } from '../../../src/networks/component-config.js';
import { FrozenSource } from '../../../src/formats/frozen-source.js';
import { Scope } from '../../../src/networks/layers/scope.js';
import { fingerprint } from '../../../src/formats/fingerprint.js';
import {
  openPipeline,
  pipelineFingerprint,
  type PipelineFolder,
} from '../../../src/formats/pipeline/pipeline-folder.js';
import { readJson } from '../../../src/formats/read-json.js';
import { LAYOUTS, writeRandomModel } from '../../../src/models/random-model.js';
import { schedulerFromConfig } from '../../../src/sampling/schedulers/from-config.js';
import { unet } from '../../../src/networks/unet.js';
import { vaeDecode, vaeEncode } from '../../../src/networks/vae.js';
import { openSafetensors, writeSafetensors } from '../../../src/formats/safetensors/safetensors.js';
import { openWeights } from '../../../src/formats/open-weights.js';
import { float32, int32, type HostTensor } from '../../../src/tensor/host.js';
import { input } from '../../../src/tensor/tensor.js';
import { evaluate, onnxRuntime, TINY, wave } from '../../fixtures/networks/networks.js';
import { golden, skipGolden } from '../../golden.js';

const backend = onnxRuntime(t);
type Tensors = Record<string, HostTensor>;

/** Replaces the tensors of a file. */
async function rewrite(file: string, change: (tensors: Tensors) => Tensors): Promise<void> {
  const weights = await openSafetensors(file),
    tensors: Tensors = {};
  for (const name of weights.entries.keys()) tensors[name] = await weights.read(name);
  await writeSafetensors(file, change(tensors), weights.metadata);
}

async function keepFields(file: string, fields: readonly string[]): Promise<void> {
  const config = await readJson(file, '');
  await writeFile(
    file,
    JSON.stringify(Object.fromEntries(fields.filter((f) => f in config).map((f) => [f, config[f]]))),
  );
}

const OLDER_ATTENTION: readonly (readonly [RegExp, string])[] = [
  [/\.to_q\./, '.query.'],
  [/\.to_k\./, '.key.'],
  [/\.to_v\./, '.value.'],
  [/\.to_out\.0\./, '.proj_attn.'],
];

/** Makes a folder what Stable Diffusion 1.4 was in 2022: tensor names, buffers, and configs that lack what came later. */
async function age(folder: string): Promise<void> {
  const vae = join(folder, 'vae/diffusion_pytorch_model.safetensors'),
    text = join(folder, 'text_encoder/model.safetensors');
  const older = (name: string): string =>
    name.includes('.attentions.0.') ? OLDER_ATTENTION.reduce((n, [now, then]) => n.replace(now, then), name) : name;
  await rewrite(vae, (tensors) =>
    Object.fromEntries(Object.entries(tensors).map(([name, value]) => [older(name), value])),
  );
  const positions: HostTensor = {
    dtype: 'int64',
    shape: [1, 77],
    data: BigInt64Array.from({ length: 77 }, (_, i) => BigInt(i)),
  };
  await rewrite(text, (tensors) => ({ ...tensors, 'text_model.embeddings.position_ids': positions }));
  await keepFields(join(folder, 'unet/config.json'), [
    '_class_name',
    'act_fn',
    'attention_head_dim',
    'block_out_channels',
    'center_input_sample',
    'cross_attention_dim',
    'down_block_types',
    'downsample_padding',
    'flip_sin_to_cos',
    'freq_shift',
    'in_channels',
    'layers_per_block',
    'mid_block_scale_factor',
    'norm_eps',
    'norm_num_groups',
    'out_channels',
    'sample_size',
    'up_block_types',
  ]);
  await keepFields(join(folder, 'vae/config.json'), [
    '_class_name',
    'act_fn',
    'block_out_channels',
    'down_block_types',
    'in_channels',
    'latent_channels',
    'layers_per_block',
    'norm_num_groups',
    'out_channels',
    'sample_size',
    'up_block_types',
  ]);
  await keepFields(join(folder, 'scheduler/scheduler_config.json'), [
    '_class_name',
    'beta_end',
    'beta_schedule',
    'beta_start',
    'num_train_timesteps',
    'set_alpha_to_one',
    'skip_prk_steps',
    'steps_offset',
    'trained_betas',
    'clip_sample',
  ]);
}

/** What all networks of a pipeline compute, on fixed inputs. */
async function outputs(pipeline: PipelineFolder): Promise<Record<string, HostTensor>> {
  const { unetConfig, vaeConfig, textConfig } = pipeline;
  const ids = pipeline.tokenizer.encode('a photo of sks dog').ids;
  const { lastHiddenState: text } = clipText(new Scope(pipeline.text), input('ids', [1, 77], 'int32'), textConfig);
  const { out: noise } = unet(
    new Scope(pipeline.unet),
    { sample: input('sample', [1, 4, 8, 8]), timesteps: input('timesteps', [1]), encoderHiddenStates: text },
    unetConfig,
  );
  const { mean, logvar } = vaeEncode(new Scope(pipeline.vae), input('image', [1, 3, 32, 32]), vaeConfig);
  const picture = vaeDecode(new Scope(pipeline.vae), input('sample', [1, 4, 8, 8]), vaeConfig);
  return evaluate(
    backend,
    { text, noise, mean, logvar, picture },
    {
      ids: int32(ids, [1, 77]),
      sample: wave([1, 4, 8, 8]),
      timesteps: float32([500], [1]),
      image: wave([1, 3, 32, 32]),
    },
  );
}

const SOURCES: readonly { name: string; folder: () => string; skip: string | false }[] = [
  { name: 'float16, one layer per block', folder: () => TINY, skip: false },
  {
    name: 'written by diffusers, float32, two layers per block',
    folder: () => golden('tiny-sd-random'),
    skip: skipGolden,
  },
];
for (const { name, folder, skip } of SOURCES) {
  void t.test(`a checkpoint of 2022 computes what its present form does (${name})`, { skip }, async (t) => {
    const old = join(t.testdir(), 'old');
    await cp(folder(), old, { recursive: true });
    await age(old);
    const names = [
      ...(await openSafetensors(join(old, 'vae/diffusion_pytorch_model.safetensors'))).entries.keys(),
    ].filter((n) => n.startsWith('encoder.mid_block.attentions'));
    t.strictSame(
      names
        .filter((n) => n.endsWith('weight'))
        .map((n) => n.split('.').at(-2))
        .sort(),
      ['group_norm', 'key', 'proj_attn', 'query', 'value'],
    );
    const [then, now] = [await openPipeline(old), await openPipeline(folder())];
    t.strictSame(await outputs(then), await outputs(now));
    t.equal(then.vaeConfig.scalingFactor, 0.18215);
    t.strictSame(then.unetConfig, now.unetConfig);
    const timesteps = [then, now].map(({ schedulerConfig }) => {
      const scheduler = schedulerFromConfig(schedulerConfig);
      scheduler.setTimesteps(5);
      return scheduler.timesteps;
    });
    t.strictSame(
      timesteps,
      [
        [801, 601, 601, 401, 201, 1],
        [801, 601, 601, 401, 201, 1],
      ],
      'PNDM without Runge-Kutta steps, offset by 1',
    );
  });
}

/** A copy of the smallest model to spoil. */
async function copied(t: Test): Promise<{ path: string; file: (name: string) => string }> {
  const path = join(t.testdir(), 'model');
  await cp(TINY, path, { recursive: true });
  return { path, file: (name) => join(path, name) };
}

const UNET = 'unet/diffusion_pytorch_model.safetensors',
  TEXT = 'text_encoder/model.safetensors';
const only =
  (keep: (name: string) => boolean) =>
  (all: Tensors): Tensors =>
    Object.fromEntries(Object.entries(all).filter(([name]) => keep(name)));
const WEIGHTS: readonly { title: string; file: string; change: (tensors: Tensors) => Tensors; message: string }[] = [
  {
    title: 'a missing tensor',
    file: UNET,
    change: only((name) => name !== 'conv_in.bias'),
    message: 'missing conv_in.bias; the weights do not belong to this config.json',
  },
  {
    title: 'twenty missing tensors',
    file: UNET,
    change: only((name) => !name.startsWith('mid_block.resnets')),
    message:
      'missing mid_block.resnets.0.norm1.weight, mid_block.resnets.0.norm1.bias, mid_block.resnets.0.conv1.weight, ... (20 in all); the weights do not belong to this config.json',
  },
  {
    title: 'a tensor too many',
    file: UNET,
    change: (all) => ({ ...all, 'conv_in.scale': float32([1], [1]) }),
    message: 'unexpected conv_in.scale; the weights do not belong to this config.json',
  },
  {
    title: "position ids where no text encoder's are",
    file: UNET,
    change: (all) => ({ ...all, position_ids: int32([1], [1]) }),
    message: 'unexpected position_ids; the weights do not belong to this config.json',
  },
  {
    title: 'a tensor of another shape',
    file: TEXT,
    change: (all) => ({ ...all, 'text_model.final_layer_norm.bias': wave([31]) }),
    message:
      'tensor "text_model.final_layer_norm.bias" has shape [31], the config.json asks for [32]; the weights do not belong to it',
  },
];
for (const { title, file, change, message } of WEIGHTS) {
  void t.test(`weights with ${title} are refused by file and name`, async (t) => {
    const model = await copied(t);
    await rewrite(model.file(file), change);
    await t.rejects(openPipeline(model.path), { name: 'UserError', message: `${model.file(file)}: ${message}` });
  });
}

void t.test(
  'tensors that no part of the model has are named once and not used; a field that is null sets nothing',
  async (t) => {
    const model = await copied(t),
      warnings: string[] = [],
      log = { info: () => {}, debug: () => {}, warn: (line: string) => void warnings.push(line) };
    await rewrite(model.file(UNET), (all) => ({ ...all, optimization_step: int32([7], []) }));
    await rewrite(model.file(TEXT), (all) => ({ ...all, 'text_projection.weight': wave([32, 32]) }));
    const config = await readJson(model.file('unet/config.json'), '');
    await writeFile(model.file('unet/config.json'), JSON.stringify({ ...config, some_future_field: null }));
    const [opened, before] = [await openPipeline(model.path, log), await openPipeline(TINY, log)];
    t.strictSame(warnings, [
      `${model.file(UNET)}: not used: optimization_step; this config.json has no place for it`,
      `${model.file(TEXT)}: not used: text_projection.weight; this config.json has no place for it`,
    ]);
    t.strictSame(await outputs(opened), await outputs(before));
  },
);

void t.test(
  'a text encoder without the level text_model, as transformers 5.6 and later save it, is the same one',
  async (t) => {
    const model = await copied(t);
    await rewrite(model.file(TEXT), (all) =>
      Object.fromEntries(Object.entries(all).map(([name, value]) => [name.replace('text_model.', ''), value])),
    );
    const config = await readJson(model.file('text_encoder/config.json'), '');
    await writeFile(
      model.file('text_encoder/config.json'),
      JSON.stringify({ ...config, torch_dtype: undefined, dtype: 'float16', transformers_version: '5.17.0' }),
    );
    const [opened, before] = [await openPipeline(model.path), await openPipeline(TINY)];
    t.strictSame(await outputs(opened), await outputs(before));
    t.equal(await pipelineFingerprint(opened), await pipelineFingerprint(before));
    t.ok([...opened.text.weights.entries.keys()].every((name) => name.startsWith('text_model.')));
  },
);

const FILES: readonly { title: string; file: string; text: (old: string) => string; message: RegExp }[] = [
  {
    title: 'an index without a VAE',
    file: 'model_index.json',
    text: (old) => old.replace('"vae"', '"vqvae"'),
    message: /model_index\.json: no "vae"; a Stable Diffusion pipeline has one \(AutoencoderKL\)$/,
  },
  {
    title: 'an index that is a list',
    file: 'model_index.json',
    text: () => '[]',
    message: /model_index\.json: not a JSON object; download it again$/,
  },
  {
    title: 'a config that is null',
    file: 'vae/config.json',
    text: () => 'null',
    message: /vae\/config\.json: not a JSON object; download it again$/,
  },
  {
    title: 'a config cut off',
    file: 'unet/config.json',
    text: (old) => old.slice(0, 50),
    message: /unet\/config\.json: not JSON \(.+\); download it again$/,
  },
];
for (const { title, file, text, message } of FILES) {
  void t.test(`${title} is refused by file`, async (t) => {
    const model = await copied(t);
    await writeFile(model.file(file), text(await readFile(model.file(file), 'utf8')));
    await t.rejects(openPipeline(model.path), { name: 'UserError', message });
  });
}

void t.test('components of different models are refused together, each being in order alone', async (t) => {
  const { unet: u, vae, text } = LAYOUTS['tiny-random'],
    folder = t.testdir();
  const mixtures: readonly (readonly [string, Partial<(typeof LAYOUTS)[string]>, string])[] = [
    [
      'width',
      { text: { ...text, hidden_size: 64 } },
      'the U-Net takes text states of width 32, the text encoder gives 64',
    ],
    [
      'latents',
      { vae: { ...vae, latent_channels: 8 } },
      'the U-Net takes 4 channels and gives 4, the VAE has 8 latent channels',
    ],
    [
      'inpainting',
      { unet: { ...u, in_channels: 9 } },
      'the U-Net takes 9 channels and gives 4, the VAE has 4 latent channels',
    ],
    [
      'positions',
      { text: { ...text, max_position_embeddings: 50 } },
      'the tokenizer gives 77 tokens, the text encoder has 50 positions',
    ],
    [
      'vocabulary',
      { text: { ...text, vocab_size: 300 } },
      'the tokenizer gives the id 660, the text encoder knows 300 tokens',
    ],
  ];
  for (const [name, change, what] of mixtures) {
    const path = join(folder, name);
    await writeRandomModel(path, { ...LAYOUTS['tiny-random'], ...change }, { dtype: 'float16', seed: 0 });
    const tokenizer = join(path, 'tokenizer', 'tokenizer_config.json');
    await writeFile(
      tokenizer,
      (await readFile(tokenizer, 'utf8')).replace(/"model_max_length": \d+/, '"model_max_length": 77'),
    );
    await t.rejects(openPipeline(path), {
      name: 'UserError',
      message: `${path}: ${what}; they are of different models`,
    });
  }
});

void t.test(
  'a matrix may be stored as the 1x1 convolution it equals, and the other way round; no other shape is taken',
  async (t) => {
    const file = join(t.testdir(), 'w.safetensors');
    await writeSafetensors(file, { a: wave([2, 3]), b: wave([2, 3, 1, 1]) });
    const source = new FrozenSource(await openSafetensors(file));
    t.strictSame(source.get('a', [2, 3, 1, 1]).shape, [2, 3, 1, 1]);
    t.strictSame(source.get('b', [2, 3]).shape, [2, 3]);
    t.throws(() => source.get('a', [3, 2]), {
      message: `${file}: tensor "a" has shape [2,3], the config.json asks for [3,2]; the weights do not belong to it`,
    });
    t.throws(() => source.get('c', [1]), {
      name: 'UserError',
      message: `${file}: no tensor "c" [1]; the weights do not belong to this config.json`,
    });
  },
);

void t.test('a fingerprint changes with any tensor, and with nothing else', async (t) => {
  const folder = t.testdir();
  const of = async (name: string, tensors: Tensors, metadata = {}): Promise<string> => {
    await writeSafetensors(join(folder, `${name}.safetensors`), tensors, metadata);
    return fingerprint(await openSafetensors(join(folder, `${name}.safetensors`)));
  };
  const tensors: Tensors = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [`layer${i}`, wave(i < 3 ? [4] : [200, 200], i)]),
  );
  const base = await of('base', tensors),
    names = Object.keys(tensors);
  t.equal(await of('same', tensors, { made: 'later' }), base);
  for (const name of names) t.not(await of('one', { ...tensors, [name]: wave(tensors[name].shape, 99) }), base, name);
  t.not(await of('shape', { ...tensors, layer3: wave([100, 400], 3) }), base);
  t.not(await of('name', Object.fromEntries(names.map((name) => [name.replace('7', 'x'), tensors[name]]))), base);

  const part = (from: number, to: number): Tensors =>
    Object.fromEntries(names.slice(from, to).map((name) => [name, tensors[name]]));
  const shards = ['model-1.safetensors', 'model-2.safetensors'];
  await writeSafetensors(join(folder, 'sharded', shards[0]), part(0, 15));
  await writeSafetensors(join(folder, 'sharded', shards[1]), part(15, 40));
  await writeFile(
    join(folder, 'sharded', 'model.safetensors.index.json'),
    JSON.stringify({ weight_map: Object.fromEntries(names.map((name, i) => [name, shards[i < 15 ? 0 : 1]])) }),
  );
  t.equal(await fingerprint(await openWeights(join(folder, 'sharded'), 'model')), base, 'in two files');
});

void t.test('the shipped model is what make-model writes, byte for byte; another seed is another model', async (t) => {
  const folder = t.testdir(),
    files: string[] = [];
  await writeRandomModel(join(folder, 'again'), LAYOUTS['tiny-random'], {
    dtype: 'float16',
    seed: 0,
    report: (file) => files.push(file),
  });
  t.equal(files.length, 12);
  for (const file of files)
    t.ok((await readFile(join(folder, 'again', file))).equals(await readFile(join(TINY, file))), file);
  await writeRandomModel(join(folder, 'other'), LAYOUTS['tiny-random'], { dtype: 'float16', seed: 1 });
  const [again, other] = [await openPipeline(join(folder, 'again')), await openPipeline(join(folder, 'other'))];
  t.equal(await pipelineFingerprint(again), await pipelineFingerprint(await openPipeline(TINY)));
  t.not(await pipelineFingerprint(other), await pipelineFingerprint(again));
  await t.rejects(writeRandomModel(join(folder, 'again'), LAYOUTS['tiny-random'], { dtype: 'float16', seed: 0 }), {
    name: 'UserError',
    message: `${join(folder, 'again')}: exists and is not empty; choose another folder or remove it`,
  });
});

void t.test('the shipped model knows whole words of our prompts', async (t) => {
  const { tokenizer, textConfig } = await openPipeline(TINY);
  const { ids } = tokenizer.encode('a photo of sks dog in a bucket');
  t.equal(ids.indexOf(textConfig.eosTokenId), 9, 'eight words, one token each');
  const vocab = JSON.parse(await readFile(join(TINY, 'tokenizer/vocab.json'), 'utf8')) as RawConfig;
  t.strictSame(
    [...ids.slice(0, 10)],
    [
      '<|startoftext|>',
      'a</w>',
      'photo</w>',
      'of</w>',
      'sks</w>',
      'dog</w>',
      'in</w>',
      'a</w>',
      'bucket</w>',
      '<|endoftext|>',
    ].map((token) => vocab[token]),
  );
});
