/** CLIP's tokenizer from a folder of a pipeline: vocab.json, merges.txt, tokenizer_config.json, special_tokens_map.json. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { UserError } from '../../base/errors.js';

/** CLIP's text encoders have 77 positions; newer files say "no limit" with a number like 1e30. */
const CLIP_LENGTH = 77;
/** Words of CLIP: English contractions, letters, single digits, other symbols; as transformers' conversion of CLIPTokenizer. */
const WORDS = String.raw`'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\p{White_Space}\p{L}\p{N}]+`;
/**
 * As transformers' conversion, said so that JavaScript does the same as the Rust library: its `\s` would take U+FEFF
 * (a text file's byte-order mark) for a space, and its lower case of a capital sigma depends on the neighbours.
 */
const NORMALIZERS = [
  { type: 'NFC' },
  { type: 'Replace', pattern: { Regex: String.raw`\p{White_Space}+` }, content: ' ' },
  { type: 'Replace', pattern: { String: 'Σ' }, content: 'σ' },
  { type: 'Lowercase' },
];

type Json = Readonly<Record<string, unknown>>;

export class ClipTokenizer {
  private constructor(
    private readonly tokenizer: Tokenizer,
    private readonly special: { readonly start: number; readonly end: number; readonly pad: number },
    /** Length of `ids`, start and end token included. */
    readonly maxLength: number,
  ) {}

  /** @throws UserError when a file is missing or cannot be read as what it should be */
  static async load(folder: string): Promise<ClipTokenizer> {
    const [vocab, merges, config, map] = await Promise.all([
      readJson(join(folder, 'vocab.json')),
      readText(join(folder, 'merges.txt')),
      readJson(join(folder, 'tokenizer_config.json'), {}),
      readJson(join(folder, 'special_tokens_map.json'), {}),
    ]);
    // Folders written before transformers 4.34 lack this field, and there the map wins: so Stable Diffusion 2 pads with "!".
    const sources = 'added_tokens_decoder' in config ? [config, map] : [map, config];
    const name = (key: string, fallback: string): string =>
      contentOf(sources[0][key]) ?? contentOf(sources[1][key]) ?? fallback;
    const start = name('bos_token', '<|startoftext|>'),
      end = name('eos_token', '<|endoftext|>');
    const pad = name('pad_token', end),
      unknown = name('unk_token', end);
    const idOf = (token: string): number => {
      const id = vocab[token];
      if (typeof id !== 'number')
        throw new UserError(
          `${join(folder, 'vocab.json')}: no token "${token}"; tokenizer_config.json or special_tokens_map.json names it as a special token`,
        );
      return id;
    };
    const added = [...new Set([start, end, pad, unknown])].map((content) => ({
      id: idOf(content),
      content,
      special: true,
      normalized: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
    }));
    const tokenizer = new Tokenizer(
      {
        added_tokens: added,
        normalizer: { type: 'Sequence', normalizers: NORMALIZERS },
        pre_tokenizer: {
          type: 'Sequence',
          pretokenizers: [
            { type: 'Split', pattern: { Regex: WORDS }, behavior: 'Removed', invert: true },
            { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
          ],
        },
        model: {
          type: 'BPE',
          unk_token: unknown,
          continuing_subword_prefix: '',
          end_of_word_suffix: '</w>',
          vocab,
          merges: parseMerges(merges),
        },
        post_processor: null,
        decoder: null,
      },
      {},
    );
    const limit = config.model_max_length;
    const maxLength = typeof limit === 'number' && limit >= 2 && limit < 1e6 ? limit : CLIP_LENGTH;
    return new ClipTokenizer(tokenizer, { start: idOf(start), end: idOf(end), pad: idOf(pad) }, maxLength);
  }

  /** @returns ids [maxLength]: start, the text's tokens as far as they fit, end, padding */
  encode(text: string): { ids: Int32Array; truncated: boolean } {
    const words = this.tokenizer.encode(text, { add_special_tokens: false }).ids;
    const room = this.maxLength - 2,
      kept = words.slice(0, room);
    const ids = new Int32Array(this.maxLength).fill(this.special.pad);
    ids.set([this.special.start, ...kept, this.special.end]);
    return { ids, truncated: words.length > room };
  }
}

/** Pairs in order of priority; the first line is a version. */
function parseMerges(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.includes(' ') && !line.startsWith('#version'))
    .map((line) => line.trim().split(' '));
}

/** A token as files write it: plain, or an object with `content`. */
function contentOf(token: unknown): string | undefined {
  if (typeof token === 'object' && token !== null && 'content' in token) return String(token.content);
  return typeof token === 'string' ? token : undefined;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    throw new UserError(`${path}: cannot be read; a tokenizer folder holds vocab.json and merges.txt`);
  }
}

async function readJson(path: string, fallback?: Json): Promise<Json> {
  const text = fallback ? await readFile(path, 'utf8').catch(() => undefined) : await readText(path);
  if (text === undefined) return fallback as Json;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  } catch {
    /* the same message as for a wrong value */
  }
  throw new UserError(`${path}: not a JSON object; copy the file again`);
}
