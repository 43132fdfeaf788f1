/** A vocabulary of a few hundred entries in CLIP's format: every byte, and merges for given words. */
import { join } from 'node:path';
import { writeFileAtomic } from '../atomic-file.js';

/** Words of our own prompts. */
const WORDS = [
  'a', 'an', 'the', 'photo', 'of', 'sks', 'dog', 'cat', 'person', 'in', 'on', 'at', 'with', 'and', 'bucket', 'beach', 'snow', 'grass', 'night', 'car', 'cup',
  'house', 'robot', 'fish', 'tree', 'ball', 'hat', 'red', 'green', 'blue', 'yellow', 'orange', 'purple', 'black', 'white', 'pink', 'brown', 'suits', 'face',
  'picture', 'drawing', 'small', 'big', 'swimming', 'pool', 'highly', 'detailed',
];

/** Printable stand-ins for the 256 bytes, as GPT-2's byte-level BPE numbers them: printable Latin-1 as itself, the rest from U+0100. */
function byteCharacters(): string[] {
  const printable = (b: number): boolean => (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
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
  const bytes = byteCharacters();
  const merges = new Set<string>();
  for (const word of words) {
    const letters = [...word].map((c, i) => (i === word.length - 1 ? `${c}</w>` : c));
    for (let at = 1, left = letters[0]; at < letters.length; left += letters[at++]) merges.add(`${left} ${letters[at]}`);
  }
  const tokens = [...bytes, ...bytes.map((c) => `${c}</w>`), ...[...merges].map((m) => m.replace(' ', '')), '<|startoftext|>', '<|endoftext|>'];
  const unique = [...new Set(tokens)];
  return { vocab: Object.fromEntries(unique.map((token, id) => [token, id])), merges: [...merges], endId: unique.length - 1 };
}

/**
 * Writes a CLIPTokenizer as transformers reads it.
 * @param maxLength tokens that a prompt is padded or cut to
 * @param report is told each file
 */
export async function writeTokenizer(folder: string, { vocab, merges }: SmallTokenizer, maxLength: number, report: (file: string) => void = () => {}): Promise<void> {
  const special = { bos_token: '<|startoftext|>', eos_token: '<|endoftext|>', pad_token: '<|endoftext|>', unk_token: '<|endoftext|>' };
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
