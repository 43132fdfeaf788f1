/** Adapters: PEFT folders and single files. */
import { chance, MODEL, put, type Case } from './case.js';

const CONFIG = {
  peft_type: 'LORA',
  r: 4,
  lora_alpha: 4,
  target_modules: ['to_q'],
  bias: 'none',
  base_model_name_or_path: MODEL,
};

const render = (name: string, files: Readonly<Record<string, string | Uint8Array>>, path = '{}/adapter'): Case => ({
  name: `adapter: ${name}`,
  write: (folder) => {
    for (const [file, data] of Object.entries(files)) put(folder, file, data);
  },
  args: [
    'demo_lora',
    'x',
    path,
    '--sdmodel',
    MODEL,
    '--steps',
    '1',
    '--height',
    '64',
    '--width',
    '64',
    '--out',
    '{}/x.png',
  ],
});

function weights(tensors: Readonly<Record<string, readonly number[]>>): Buffer {
  let at = 0;
  const header = Object.fromEntries(
    Object.entries(tensors).map(([name, shape]) => {
      const begin = at;
      at += 4 * shape.reduce((n, d) => n * d, 1);
      return [name, { dtype: 'F32', shape, data_offsets: [begin, at] }];
    }),
  );
  const text = Buffer.from(JSON.stringify(header)),
    lead = Buffer.alloc(8);
  lead.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([lead, text, Buffer.alloc(at)]);
}

const MODULE = 'down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q';
const kohya = `lora_unet_${MODULE.replaceAll('.', '_')}`;

export function* adapters(): Generator<Case> {
  const fine = weights({
    [`base_model.model.${MODULE}.lora_A.weight`]: [4, 16],
    [`base_model.model.${MODULE}.lora_B.weight`]: [16, 4],
  });
  const peft = (name: string, config: string, bytes: Uint8Array = fine): Case =>
    render(name, { 'adapter/adapter_config.json': config, 'adapter/adapter_model.safetensors': bytes });
  for (const [key, values] of Object.entries({
    r: ['x', -1, 0, 5, [], 1.5],
    lora_alpha: ['x', {}, []],
    peft_type: ['FOO', 5],
    bias: ['all', 5],
    rank_pattern: [{ to_q: 8 }],
  }))
    for (const value of values)
      yield peft(`${key} = ${JSON.stringify(value)}`, JSON.stringify({ ...CONFIG, [key]: value }));
  for (const text of ['', '{', '[]', '5', 'null']) yield peft(`config is ${JSON.stringify(text)}`, text);
  for (const size of [0, 7, 8, 50, fine.length - 1])
    yield peft(`weights cut at ${size}`, JSON.stringify(CONFIG), fine.subarray(0, size));
  yield peft(
    'weights of another shape',
    JSON.stringify(CONFIG),
    weights({
      [`base_model.model.${MODULE}.lora_A.weight`]: [4, 17],
      [`base_model.model.${MODULE}.lora_B.weight`]: [16, 4],
    }),
  );
  yield peft('no weights', JSON.stringify(CONFIG), weights({}));
  yield peft('half a pair', JSON.stringify(CONFIG), weights({ [`base_model.model.${MODULE}.lora_A.weight`]: [4, 16] }));
  yield render('an empty folder', { 'adapter/readme.txt': '' });
  yield render('nothing there', {});
  const single = (name: string, bytes: Uint8Array | string): Case =>
    render(`single file ${name}`, { 'a.safetensors': bytes }, '{}/a.safetensors');
  yield single('empty', '');
  yield single(
    'noise',
    Uint8Array.from({ length: 300 }, () => chance('adapter').uint32() & 255),
  );
  yield single('without tensors', weights({}));
  yield single('of unknown names', weights({ 'a.b.c': [2, 2] }));
  yield single(
    'of another module',
    weights({ 'lora_unet_nobody.lora_down.weight': [4, 16], 'lora_unet_nobody.lora_up.weight': [16, 4] }),
  );
  yield single('half a pair', weights({ [`${kohya}.lora_down.weight`]: [4, 16] }));
  yield single(
    'ranks that differ',
    weights({ [`${kohya}.lora_down.weight`]: [4, 16], [`${kohya}.lora_up.weight`]: [16, 5] }),
  );
  yield single(
    'of another size',
    weights({ [`${kohya}.lora_down.weight`]: [4, 99], [`${kohya}.lora_up.weight`]: [99, 4] }),
  );
}
