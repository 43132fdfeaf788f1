import { readFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { ClipTokenizer } from '../../../src/formats/tokenizers/clip-tokenizer.js';
import { golden, skipGolden } from '../../golden.js';

interface Row {
  i?: number;
  text: string;
  input_ids: number[];
  input_ids_untruncated: number[];
}

void t.test(
  'tokenizer: every reference prompt becomes the ids that transformers gives today',
  { skip: skipGolden },
  async (t) => {
    const { rows, fast_rows } = JSON.parse(await readFile(golden('reference', 'tokenizer.json'), 'utf8')) as {
      rows: Row[];
      fast_rows: Row[];
    };
    const tokenizer = await ClipTokenizer.load(golden('tiny-sd-random', 'tokenizer'));
    t.equal(tokenizer.maxLength, 77);
    rows.forEach((row, i) => {
      const expected = fast_rows.find((fast) => fast.i === i) ?? row;
      const { ids, truncated } = tokenizer.encode(row.text);
      t.strictSame([...ids], expected.input_ids, JSON.stringify(row.text.slice(0, 40)));
      t.equal(truncated, row.input_ids_untruncated.length > 77);
    });
  },
);

/** Two letters and one merge: ids of a small vocabulary can be worked out by hand. */
function smallFolder(t: Test, files: Record<string, string> = {}): string {
  return t.testdir({
    'vocab.json': JSON.stringify({ '!': 0, a: 1, b: 2, 'a</w>': 3, 'b</w>': 4, 'ab</w>': 5, '<start>': 6, '<end>': 7 }),
    'merges.txt': '#version: 0.2\na b</w>\n',
    'tokenizer_config.json': JSON.stringify({
      bos_token: { content: '<start>' },
      eos_token: '<end>',
      pad_token: '!',
      model_max_length: 6,
    }),
    ...files,
  });
}

void t.test('tokenizer: a small vocabulary with its own special tokens and length', async (t) => {
  const tokenizer = await ClipTokenizer.load(smallFolder(t));
  t.strictSame([...tokenizer.encode('AB  a').ids], [6, 5, 3, 7, 0, 0], 'start, words, end, padding');
  t.strictSame([...tokenizer.encode('aab').ids], [6, 1, 5, 7, 0, 0], 'a word in two parts');
  t.strictSame([...tokenizer.encode('z').ids], [6, 7, 7, 0, 0, 0], 'an unknown letter becomes the end token');
});

void t.test('tokenizer: what does not fit is cut and reported', async (t) => {
  const tokenizer = await ClipTokenizer.load(smallFolder(t));
  t.strictSame(tokenizer.encode('a b a b'), { ids: Int32Array.of(6, 3, 4, 3, 4, 7), truncated: false });
  t.strictSame(tokenizer.encode('a b a b a'), { ids: Int32Array.of(6, 3, 4, 3, 4, 7), truncated: true });
});

void t.test('tokenizer: without tokenizer_config.json the names of CLIP and 77 positions hold', async (t) => {
  const vocab = JSON.stringify({ 'a</w>': 0, '<|startoftext|>': 1, '<|endoftext|>': 2 });
  const folder = smallFolder(t, { 'vocab.json': vocab, 'tokenizer_config.json': '{"model_max_length": 1e30}' });
  const { ids } = (await ClipTokenizer.load(folder)).encode('a');
  t.strictSame([...ids.slice(0, 4)], [1, 0, 2, 2]);
  t.equal(ids.length, 77);
});

void t.test(
  'tokenizer: special_tokens_map.json wins in folders that know no added_tokens_decoder, as Stable Diffusion 2',
  async (t) => {
    const config = { bos_token: '<start>', eos_token: '<end>', pad_token: '<end>', model_max_length: 6 };
    const files = { 'special_tokens_map.json': '{"pad_token": "!"}', 'tokenizer_config.json': JSON.stringify(config) };
    const legacy = await ClipTokenizer.load(smallFolder(t, files));
    t.strictSame(
      [...legacy.encode('a!').ids],
      [6, 3, 0, 7, 0, 0],
      'pads with "!", which is then a token of its own in a text too',
    );
    const current = await ClipTokenizer.load(
      smallFolder(t, { ...files, 'tokenizer_config.json': JSON.stringify({ ...config, added_tokens_decoder: {} }) }),
    );
    t.strictSame([...current.encode('a').ids], [6, 3, 7, 7, 7, 7]);
  },
);

void t.test(
  'tokenizer: a byte-order mark is no space, a next-line character is, and a final sigma is like any other',
  { skip: skipGolden },
  async (t) => {
    const tokenizer = await ClipTokenizer.load(golden('tiny-sd-random', 'tokenizer'));
    // Ids of the tokenizers library 0.23.2 in Python.
    const ids = (text: string): number[] => [...tokenizer.encode(text).ids].filter((id) => id < 49406);
    t.strictSame(ids('\u0007\ufeff'), [195, 171, 119, 379]);
    t.strictSame(ids('a\u0085dog'), [320, 1929]);
    t.strictSame(ids('ΟΔΟΣ'), [138, 123, 138, 112, 138, 123, 139, 481]);
  },
);

void t.test('tokenizer: broken folders are named', async (t) => {
  await t.rejects(ClipTokenizer.load('/nowhere'), {
    name: 'UserError',
    message: /\/nowhere\/(vocab\.json|merges\.txt): cannot be read; a tokenizer folder holds/,
  });
  await t.rejects(ClipTokenizer.load(smallFolder(t, { 'vocab.json': '{"a": ' })), {
    name: 'UserError',
    message: /vocab\.json: not a JSON object/,
  });
  await t.rejects(ClipTokenizer.load(smallFolder(t, { 'tokenizer_config.json': '{}' })), {
    name: 'UserError',
    message: /no token "<\|startoftext\|>"/,
  });
});
