/** A vocabulary of a few hundred entries in CLIP's format: every byte, and merges for given words. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../base/atomic-file.js';

/** Words of our own prompts. */
const WORDS = [
  'a',
  'an',
  'the',
  'photo',
  'of',
  'sks',
  'dog',
  'cat',
  'person',
  'in',
  'on',
  'at',
  'with',
  'and',
  'bucket',
  'beach',
  'snow',
  'grass',
  'night',
  'car',
  'cup',
  'house',
  'robot',
  'fish',
  'tree',
  'ball',
  'hat',
  'red',
  'green',
  'blue',
  'yellow',
  'orange',
  'purple',
  'black',
  'white',
  'pink',
  'brown',
  'suits',
  'face',
  'picture',
  'drawing',
  'small',
  'big',
  'swimming',
  'pool',
  'highly',
  'detailed',
];

/** Printable stand-ins for the 256 bytes, as GPT-2's byte-level BPE numbers them: printable Latin-1 as itself, the rest from U+0100. */
function byteCharacters(): string[] {
  const printable = (b: number): boolean =>
    (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
  const own = Array.from({ length: 256 }, (_, b) => b).filter(printable);
  const rest = Array.from({ length: 256 }, (_, b) => b).filter((b) => !printable(b));
  return [...own.map((b) => String.fromCharCode(b)), ...rest.map((_, i) => String.fromCharCode(256 + i))];
}

export interface SmallTokenizer {
  readonly vocab: Record<string, number>;
  readonly merges: string[];
  /** id of <|endoftext|>; <|startoftext|> is the one before */
  readonly endId: number;
}

/** @param words lower case; each becomes one token */
export function smallTokenizer(words: readonly string[] = WORDS): SmallTokenizer {
  const ranks = new Map<string, number>();
  for (const word of words) {
    let parts = [...word].map((c, i) => (i === word.length - 1 ? `${c}</w>` : c));
    // BPE with the merges so far; one that is missing becomes the last, so that earlier words stay whole.
    while (parts.length > 1) {
      const pairs = parts.slice(1).map((right, i) => `${parts[i]} ${right}`);
      const best = pairs.reduce((a, b) => ((ranks.get(b) ?? Infinity) < (ranks.get(a) ?? Infinity) ? b : a));
      if (!ranks.has(best)) ranks.set(best, ranks.size);
      const at = pairs.indexOf(best);
      parts = [...parts.slice(0, at), parts[at] + parts[at + 1], ...parts.slice(at + 2)];
    }
  }
  const merges = [...ranks.keys()];
  return { ...vocabularyOf(merges), merges };
}

/** CLIP's ids: every byte, every byte at the end of a word, what each merge makes, the two marks. */
export function vocabularyOf(merges: readonly string[]): Pick<SmallTokenizer, 'vocab' | 'endId'> {
  const bytes = byteCharacters();
  const tokens = [
    ...bytes,
    ...bytes.map((c) => `${c}</w>`),
    ...merges.map((m) => m.replace(' ', '')),
    '<|startoftext|>',
    '<|endoftext|>',
  ];
  const unique = [...new Set(tokens)];
  return { vocab: Object.fromEntries(unique.map((token, id) => [token, id])), endId: unique.length - 1 };
}

/**
 * Writes a CLIPTokenizer as transformers reads it.
 * @param maxLength tokens that a prompt is padded or cut to
 * @param report is told each file
 */
export async function writeTokenizer(
  folder: string,
  { vocab, merges }: SmallTokenizer,
  maxLength: number,
  report: (file: string) => void = () => {},
): Promise<void> {
  const special = {
    bos_token: '<|startoftext|>',
    eos_token: '<|endoftext|>',
    pad_token: '<|endoftext|>',
    unk_token: '<|endoftext|>',
  };
  const write = (name: string, text: string): Promise<void> => {
    report(name);
    return writeFileAtomic(join(folder, name), `${text}\n`);
  };
  const json = (name: string, value: object): Promise<void> => write(name, JSON.stringify(value, null, 2));
  await json('vocab.json', vocab);
  await write('merges.txt', `#version: 0.2\n${merges.join('\n')}`);
  await json('tokenizer_config.json', { tokenizer_class: 'CLIPTokenizer', model_max_length: maxLength, ...special });
  await json('special_tokens_map.json', special);
}

/** What ClipTokenizer reads. */
export const TOKENIZER_FILES: readonly string[] = [
  'tokenizer.json',
  'vocab.json',
  'merges.txt',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
];

/** Copies the tokenizer of a folder that ClipTokenizer has opened; not every folder has every file. */
export async function copyTokenizer(from: string, to: string): Promise<void> {
  for (const name of TOKENIZER_FILES) {
    await cp(join(from, name), join(to, name), { dereference: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}
