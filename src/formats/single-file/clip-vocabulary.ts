/** The tokenizer of OpenAI's CLIP, which Stable Diffusion 1.x and 2.x use: a single-file checkpoint holds none. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { resolvePackagePath } from '../../base/package-path.js';
import { vocabularyOf } from '../tokenizers/small-tokenizer.js';
import { tokenizerFolder } from '../tokenizers/load-tokenizer.js';
import { readTokenizerFiles } from '../tokenizers/tokenizer-files.js';

/** Merges of openai/CLIP, bpe_simple_vocab_16e6.txt (MIT licence, beside it). */
const MERGES = resolvePackagePath('package:assets/clip-vocabulary/merges.txt');
export const CLIP_TOKENS = 49408;
const LENGTH = 77;
const START = '<|startoftext|>',
  END = '<|endoftext|>';

/** `clip`: padded with its end token, as 1.x; `clip!`: with "!", as 2.x */
export type ClipKind = 'clip' | 'clip!';
const PADS: Readonly<Record<ClipKind, string>> = { clip: END, 'clip!': '!' };

/** Writes CLIP's tokenizer as the pipelines of Stable Diffusion have it. */
export async function writeClipTokenizer(folder: string, kind: ClipKind): Promise<void> {
  const text = await readFile(MERGES, 'utf8');
  const mark = (content: string): object => ({
    content,
    lstrip: false,
    normalized: true,
    rstrip: false,
    single_word: false,
  });
  const special = { bos_token: mark(START), eos_token: mark(END), pad_token: PADS[kind], unk_token: mark(END) };
  const json = (name: string, value: object): Promise<void> =>
    writeFileAtomic(join(folder, name), `${JSON.stringify(value)}\n`);
  await json('vocab.json', vocabularyOf(mergesOf(text)).vocab);
  await writeFileAtomic(join(folder, 'merges.txt'), text);
  await json('special_tokens_map.json', special);
  await json('tokenizer_config.json', {
    tokenizer_class: 'CLIPTokenizer',
    model_max_length: LENGTH,
    bos_token: START,
    eos_token: END,
    pad_token: PADS[kind],
    unk_token: END,
  });
}

const mergesOf = (text: string): string[] =>
  text.split('\n').filter((line) => line !== '' && !line.startsWith('#version'));

/** @returns undefined when the folder's tokenizer differs from CLIP's in anything */
export async function clipKind(folder: string): Promise<ClipKind | undefined> {
  const files = await readTokenizerFiles(tokenizerFolder(folder));
  const kind = (Object.keys(PADS) as ClipKind[]).find((name) => PADS[name] === files.names.pad);
  const { start, end, unknown } = files.names;
  const tokens = new Set([START, END, files.names.pad]);
  const plain =
    start === START &&
    end === END &&
    unknown === END &&
    files.maxLength === LENGTH &&
    !files.padLeft &&
    !files.cutLeft &&
    !files.splitSpecial &&
    files.added.every(
      ({ content, normalized, singleWord }) => tokens.has(content) && normalized === (content !== '!') && !singleWord,
    );
  if (kind === undefined || !plain || Object.keys(files.vocab).length !== CLIP_TOKENS) return undefined;
  const merges = mergesOf(await readFile(MERGES, 'utf8')),
    { vocab } = vocabularyOf(merges);
  const same =
    merges.length === files.merges.length &&
    merges.every((line, i) => line === files.merges[i].join(' ')) &&
    Object.entries(vocab).every(([token, id]) => files.vocab[token] === id);
  return same ? kind : undefined;
}
