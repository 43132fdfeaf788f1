/** Model folders: headers of safetensors, fields of config.json, tokenizers. */
import { chance, DEMO, json, modelWith, original, pick, type Case } from './case.js';

type Entry = { dtype: unknown; shape: unknown; data_offsets: unknown };
type Header = Record<string, Entry>;

const WEIGHTS = 'text_encoder/model.safetensors';

function file(header: unknown, data: Uint8Array, length?: bigint): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header)),
    lead = Buffer.alloc(8);
  lead.writeBigUInt64LE(length ?? BigInt(text.length));
  return Buffer.concat([lead, text, data]);
}

const demo = (name: string, path: string, data: () => string | Uint8Array | undefined): Case => ({
  name,
  write: (folder) => modelWith(folder, path, data()),
  args: DEMO,
});

export function* headers(): Generator<Case> {
  const bytes = original(WEIGHTS),
    length = Number(bytes.readBigUInt64LE()),
    text = bytes.subarray(8, 8 + length).toString(),
    data = bytes.subarray(8 + length);
  const one = (name: string, make: () => Uint8Array): Case => demo(`header: ${name}`, WEIGHTS, make);
  for (const size of [0, 1, 7, 8, 9, 100, 1000, bytes.length - 1])
    yield one(`cut at byte ${size}`, () => bytes.subarray(0, size));
  for (const said of [0n, 1n, 2n ** 27n, 2n ** 40n, 2n ** 63n, 2n ** 64n - 1n])
    yield one(`says it has ${said} bytes`, () => file(text, data, said));
  for (const wrong of [
    '',
    'null',
    '[]',
    '1',
    '"x"',
    '{',
    '{"a":}',
    'not json',
    '\u0000',
    '{"a":{}}',
    '{"a":null}',
    '{"a":1}',
    '['.repeat(50_000),
  ])
    yield one(`is ${wrong.slice(0, 12)}`, () => file(wrong, data));
  yield one('has bytes after the last tensor', () => Buffer.concat([bytes, Buffer.alloc(3)]));
  yield one('is a Git LFS pointer', () =>
    Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n'),
  );

  const spoil = (name: string, change: (entry: Entry, header: Header, key: string) => void): Case =>
    one(name, () => {
      const header = JSON.parse(text) as Header;
      const key = pick(
        chance(name),
        Object.keys(header).filter((k) => k !== '__metadata__'),
      );
      change(header[key], header, key);
      return file(header, data);
    });
  for (const dtype of ['F8_E4M3', 'f32', '', 5, null, ['F32'], { toString: 1 }, '__proto__', 'constructor'])
    yield spoil(`dtype ${JSON.stringify(dtype)}`, (e) => (e.dtype = dtype));
  for (const shape of [[-1], [1e300], [2 ** 53], ['4'], '4', null, {}, [[4]], [0.5], [1e9, 1e9], [null], []])
    yield spoil(`shape ${JSON.stringify(shape)}`, (e) => (e.shape = shape));
  for (const range of [[4, 0], [-4, 4], [0, 1e15], ['0', '4'], null, [0], [0, 1, 2], 'x', [0.5, 4.5], {}])
    yield spoil(`data_offsets ${JSON.stringify(range)}`, (e) => (e.data_offsets = range));
  yield spoil('lacks a tensor', (_, header, key) => delete header[key]);
  yield spoil('calls a tensor otherwise', (entry, header, key) => {
    header[`${key}.other`] = entry;
    delete header[key];
  });
  const end = text.lastIndexOf('}}') > 0 ? text.lastIndexOf('}') : text.length,
    begin = text.indexOf('"text_model');
  for (let i = 0; i < 30; i++)
    yield one(`byte ${i} of chance is another`, () => {
      const stream = chance(`flip ${i}`),
        at = stream.int(begin, end);
      const other = pick(
        stream,
        [...'~@{}[]"x9'].filter((c) => c !== text[at]),
      );
      return file(`${text.slice(0, at)}${other}${text.slice(at + 1)}`, data);
    });
}

const CONFIGS: Readonly<Record<string, Readonly<Record<string, readonly unknown[]>>>> = {
  'unet/config.json': {
    block_out_channels: [
      [1e9, 1e9, 1e9, 1e9],
      [],
      'x',
      [16],
      [16, 32, 32, -32],
      Array(100_000).fill(32),
      [1e5, 32, 32, 32],
      { a: 1 },
    ],
    layers_per_block: [1e6, 30, 0, -1, 'x', [1, 1], [1e9, 1, 1, 1], 1.5],
    transformer_layers_per_block: [1e6, 31, 0, 'x', [[1]]],
    attention_head_dim: [1e9, 0, 'x', 3, []],
    cross_attention_dim: [1e12, 0, 'x', [32], 33],
    norm_num_groups: [0, 1e9, 'x', 7],
    norm_eps: ['x', [1], true, -1, 0],
    sample_size: [1e12, -1, 'x', {}],
    in_channels: [1e9, 0, 'x', 5],
    out_channels: [1e9, 0, 5],
    down_block_types: [[], 'x', ['A', 'B', 'C', 'D'], [1, 2, 3, 4], ['CrossAttnDownBlock2D']],
    up_block_types: [[], 'x', ['A', 'B', 'C', 'D'], {}],
    mid_block_type: ['Other', 5, {}],
    flip_sin_to_cos: ['yes', 1],
    act_fn: ['relu', 5],
    downsample_padding: [2, 'x'],
    time_embedding_dim: [1e9, 'x', 65],
    stranger: [1],
  },
  'vae/config.json': {
    block_out_channels: [[1e9, 1e9, 1e9, 1e9], [8], 'x', []],
    layers_per_block: [1e6, 31, 0, 'x'],
    latent_channels: [1e9, 5, 'x'],
    scaling_factor: ['x', 0, -1, [1]],
    norm_num_groups: [0, 3, 'x'],
    down_block_types: [['A', 'B', 'C', 'D'], 'x'],
    stranger: [{ a: 1 }],
  },
  'text_encoder/config.json': {
    num_hidden_layers: [1e6, 100, 0, 'x'],
    hidden_size: [1e9, 33, 'x'],
    intermediate_size: [1e9, 0, 'x'],
    num_attention_heads: [0, 5, 'x'],
    vocab_size: [1e9, 1, 'x'],
    max_position_embeddings: [1e9, 4000, 1, 'x'],
    hidden_act: ['relu', 5],
    layer_norm_eps: ['x', {}, -1],
    stranger: ['x'],
  },
  'scheduler/scheduler_config.json': {
    _class_name: ['NobodysScheduler', 5],
    num_train_timesteps: [1e12, 0, 'x', 1.5],
    beta_schedule: ['sigmoid', 5],
    beta_start: ['x', [1], -1, 1, 3],
    prediction_type: ['x', 5],
    steps_offset: ['x', 1e9],
  },
  'model_index.json': { unet: [5, 'x', null, {}], vae: [null], text_encoder: [null, 7] },
};

export function* configs(): Generator<Case> {
  for (const [path, fields] of Object.entries(CONFIGS))
    for (const [key, values] of Object.entries(fields))
      for (const value of values)
        yield demo(`${path}: ${key} = ${JSON.stringify(value).slice(0, 40)}`, path, () =>
          JSON.stringify({ ...json(path), [key]: value }),
        );
  for (const path of [...Object.keys(CONFIGS), 'tokenizer/vocab.json'])
    for (const text of ['', '{', 'null', '[]', '5', '\ufffd\u0000', `${'['.repeat(30_000)}`])
      yield demo(`${path} is ${JSON.stringify(text).slice(0, 12)}`, path, () => text);
  for (const path of [...Object.keys(CONFIGS), 'tokenizer/vocab.json', 'tokenizer/merges.txt'])
    yield demo(`${path} is missing`, path, () => undefined);
}
