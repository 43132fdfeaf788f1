import { readFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { loadTokenizer } from '../../../src/formats/tokenizers/load-tokenizer.js';
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
    const tokenizer = await loadTokenizer(golden('tiny-sd-random', 'tokenizer'));
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
  const tokenizer = await loadTokenizer(smallFolder(t));
  t.strictSame([...tokenizer.encode('AB  a').ids], [6, 5, 3, 7, 0, 0], 'start, words, end, padding');
  t.strictSame([...tokenizer.encode('aab').ids], [6, 1, 5, 7, 0, 0], 'a word in two parts');
  t.strictSame([...tokenizer.encode('z').ids], [6, 7, 7, 0, 0, 0], 'an unknown letter becomes the end token');
});

void t.test('tokenizer: what does not fit is cut and reported', async (t) => {
  const tokenizer = await loadTokenizer(smallFolder(t));
  t.strictSame(tokenizer.encode('a b a b'), { ids: Int32Array.of(6, 3, 4, 3, 4, 7), truncated: false });
  t.strictSame(tokenizer.encode('a b a b a'), { ids: Int32Array.of(6, 3, 4, 3, 4, 7), truncated: true });
});

void t.test('tokenizer: without tokenizer_config.json the names of CLIP and 77 positions hold', async (t) => {
  const vocab = JSON.stringify({ 'a</w>': 0, '<|startoftext|>': 1, '<|endoftext|>': 2 });
  const folder = smallFolder(t, { 'vocab.json': vocab, 'tokenizer_config.json': '{"model_max_length": 1e30}' });
  const { ids } = (await loadTokenizer(folder)).encode('a');
  t.strictSame([...ids.slice(0, 4)], [1, 0, 2, 2]);
  t.equal(ids.length, 77);
});

void t.test(
  'tokenizer: special_tokens_map.json wins in folders that know no added_tokens_decoder, as Stable Diffusion 2',
  async (t) => {
    const config = { bos_token: '<start>', eos_token: '<end>', pad_token: '<end>', model_max_length: 6 };
    const files = { 'special_tokens_map.json': '{"pad_token": "!"}', 'tokenizer_config.json': JSON.stringify(config) };
    const legacy = await loadTokenizer(smallFolder(t, files));
    t.strictSame(
      [...legacy.encode('a!').ids],
      [6, 3, 0, 7, 0, 0],
      'pads with "!", which is then a token of its own in a text too',
    );
    const current = await loadTokenizer(
      smallFolder(t, { ...files, 'tokenizer_config.json': JSON.stringify({ ...config, added_tokens_decoder: {} }) }),
    );
    t.strictSame([...current.encode('a').ids], [6, 3, 7, 7, 7, 7]);
  },
);

void t.test(
  'tokenizer: a byte-order mark is no space, a next-line character is, and a final sigma is like any other',
  { skip: skipGolden },
  async (t) => {
    const tokenizer = await loadTokenizer(golden('tiny-sd-random', 'tokenizer'));
    // Ids of the tokenizers library 0.23.2 in Python.
    const ids = (text: string): number[] => [...tokenizer.encode(text).ids].filter((id) => id < 49406);
    t.strictSame(ids('\u0007\ufeff'), [195, 171, 119, 379]);
    t.strictSame(ids('a\u0085dog'), [320, 1929]);
    t.strictSame(ids('ΟΔΟΣ'), [138, 123, 138, 112, 138, 123, 139, 481]);
  },
);

void t.test('tokenizer: broken folders are named', async (t) => {
  await t.rejects(loadTokenizer('/nowhere'), {
    name: 'UserError',
    message: /\/nowhere\/(vocab\.json|merges\.txt): missing; a tokenizer folder holds tokenizer\.json, or/,
  });
  await t.rejects(loadTokenizer(smallFolder(t, { 'vocab.json': '{"a": ' })), {
    name: 'UserError',
    message: /vocab\.json: not a JSON object/,
  });
  await t.rejects(loadTokenizer(smallFolder(t, { 'tokenizer_config.json': '{}' })), {
    name: 'UserError',
    message: /no token "<\|startoftext\|>"/,
  });
});

const TOKEN = { single_word: false, lstrip: false, rstrip: false, normalized: true, special: false };
const MARKS = [
  { id: 6, content: '<start>', ...TOKEN, special: true },
  { id: 7, content: '<end>', ...TOKEN, special: true },
];

/** The same vocabulary as transformers 5 saves it: two files. */
function wholeFolder(t: Test, settings: object = {}, parts: object = {}): string {
  const vocab = { '!': 0, a: 1, b: 2, 'a</w>': 3, 'b</w>': 4, 'ab</w>': 5, '<start>': 6, '<end>': 7 };
  return t.testdir({
    'tokenizer.json': JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: MARKS,
      normalizer: { type: 'Sequence', normalizers: ['NFC', 'Replace', 'Lowercase'].map((type) => ({ type })) },
      pre_tokenizer: { type: 'Sequence', pretokenizers: ['Split', 'ByteLevel'].map((type) => ({ type })) },
      post_processor: { type: 'RobertaProcessing' },
      model: { type: 'BPE', vocab, merges: [['a', 'b</w>']] },
      ...parts,
    }),
    'tokenizer_config.json': JSON.stringify({
      bos_token: '<start>',
      eos_token: '<end>',
      pad_token: '!',
      model_max_length: 6,
      backend: 'tokenizers',
      ...settings,
    }),
  });
}

async function idsOf(folder: string, text: string): Promise<number[]> {
  return [...(await loadTokenizer(folder)).encode(text).ids];
}

void t.test(
  'tokenizer: tokenizer.json alone, as transformers 5 saves it, gives the ids of vocab.json and merges.txt',
  async (t) => {
    for (const text of ['AB  a', 'aab', 'a! b', 'a <start> b', '', 'ab ab ab ab ab ab'])
      t.strictSame(await idsOf(wholeFolder(t), text), await idsOf(smallFolder(t), text), text);
    const merges = {
      model: { vocab: { a: 0, b: 1, 'b</w>': 2, 'ab</w>': 3, '<start>': 4, '<end>': 5, '!': 6 }, merges: ['a b</w>'] },
    };
    t.strictSame(
      await idsOf(wholeFolder(t, {}, merges), 'ab'),
      [4, 3, 5, 6, 6, 6],
      'merges as text, no type, as older files',
    );
  },
);

void t.test('tokenizer: added tokens are found in the text, as transformers 5.17 finds them', async (t) => {
  const ids = (token: object, text: string): Promise<number[]> =>
    idsOf(wholeFolder(t, {}, { added_tokens: [...MARKS, { id: 8, content: '<Sks>', ...TOKEN, ...token }] }), text);
  t.strictSame(await ids({}, 'a<sks> <SKS>'), [6, 3, 8, 8, 7, 0], 'in any case');
  t.strictSame(await ids({ normalized: false }, 'a<Sks>b'), [6, 3, 8, 4, 7, 0], 'as written');
  t.strictSame((await ids({ normalized: false }, '<sks>')).includes(8), false);
  t.strictSame(await ids({ id: 11 }, '<sks>'), [6, 8, 7, 0, 0, 0], 'its id is the next one, whatever the file says');
  t.strictSame(await ids({ content: 'q', single_word: true }, 'q,q a'), [6, 8, 7, 8, 3, 7], 'alone, not inside a word');
  t.strictSame((await ids({ content: 'q', single_word: true }, 'qa')).includes(8), false);
});

void t.test('tokenizer: added_tokens.json, added_tokens_decoder and extra special tokens count', async (t) => {
  const added = { 'added_tokens.json': '{"<b>": 9, "<a>": 8}' };
  t.strictSame(await idsOf(smallFolder(t, added), '<b> <a>'), [6, 9, 8, 7, 0, 0], 'in the order of their ids');
  const decoder = { added_tokens_decoder: { 8: { content: '<x>', ...TOKEN } }, extra_special_tokens: ['<y>'] };
  t.strictSame(await idsOf(wholeFolder(t, decoder), '<y><x>'), [6, 9, 8, 7, 0, 0]);
  t.strictSame(await idsOf(wholeFolder(t, { image_token: '<img>' }), '<img>'), [6, 8, 7, 0, 0, 0]);
});

void t.test('tokenizer: sides of padding and cutting, and special tokens as plain text, are honoured', async (t) => {
  t.strictSame(await idsOf(wholeFolder(t, { padding_side: 'left' }), 'a'), [0, 0, 0, 6, 3, 7]);
  t.strictSame(await idsOf(wholeFolder(t, {}, { padding: { direction: 'Left' } }), 'a'), [0, 0, 0, 6, 3, 7]);
  t.strictSame(await idsOf(wholeFolder(t, { truncation_side: 'left' }), 'b a b a b'), [6, 3, 4, 3, 4, 7]);
  t.strictSame((await idsOf(wholeFolder(t, { split_special_tokens: true }), '<end>a'))[5], 7);
  t.strictSame(await idsOf(wholeFolder(t), 'a<end>a'), [6, 3, 7, 3, 7, 0]);
  await t.rejects(loadTokenizer(wholeFolder(t, { padding_side: 'top' })), {
    message: /tokenizer_config\.json: padding_side = "top"; supported: "right", "left"$/,
  });
  await t.rejects(loadTokenizer(wholeFolder(t, { model_max_length: 1 })), { message: /model_max_length = 1; / });
});

void t.test("tokenizer: parts of tokenizer.json that are not CLIP's are named, other models are refused", async (t) => {
  const warnings: string[] = [],
    log = { info: () => {}, debug: () => {}, warn: (line: string) => void warnings.push(line) };
  await loadTokenizer(wholeFolder(t, {}, { normalizer: null }), { log });
  t.match(warnings, [/tokenizer\.json: normalizer is not CLIP's and is not read/]);
  await t.rejects(loadTokenizer(wholeFolder(t, {}, { model: { type: 'Unigram', vocab: [] } })), {
    name: 'UserError',
    message: /tokenizer\.json: its model is "Unigram", not CLIP's byte-pair encoding/,
  });
});

void t.test('tokenizer: a token that the text encoder does not know is refused when a prompt has it', async (t) => {
  const folder = wholeFolder(t, { extra_special_tokens: ['<x>'] });
  const tokenizer = await loadTokenizer(folder, { vocabSize: 8 });
  t.strictSame([...tokenizer.encode('a').ids], [6, 3, 7, 0, 0, 0]);
  t.throws(() => tokenizer.encode('a <x>'), { message: /"a <x>" has the token 8, the text encoder knows 8; / });
});
