/** CLIP's tokenizer from a folder of a pipeline, as transformers 5's CLIPTokenizer gives ids (checked against 5.17). */
import { Tokenizer } from '@huggingface/tokenizers';
import { FileError } from '../../base/errors.js';
import type { Logger } from '../../base/logger.js';
import { readTokenizerFiles, type AddedToken, type TokenizerFiles, type TokenizerPlace } from './tokenizer-files.js';

/** CLIP's text encoders have 77 positions; newer files say "no limit" with a number like 1e30. */
const CLIP_LENGTH = 77;
/** Words of CLIP: English contractions, letters, single digits, other symbols; as transformers' CLIPTokenizer. */
const WORDS = String.raw`'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\p{White_Space}\p{L}\p{N}]+`;
/** Where they are plain text, CLIP's marks are cut off from the symbols behind them. */
const MARKS = String.raw`<\|startoftext\|>|<\|endoftext\|>`;
/**
 * As transformers' CLIPTokenizer, said so that JavaScript does the same as the Rust library: its `\s` would take U+FEFF
 * (a text file's byte-order mark) for a space, and its lower case of a capital sigma depends on the neighbours.
 */
const NORMALIZERS = [
  { type: 'NFC' },
  { type: 'Replace', pattern: { Regex: String.raw`\p{White_Space}+` }, content: ' ' },
  { type: 'Replace', pattern: { String: 'Σ' }, content: 'σ' },
  { type: 'Lowercase' },
];

export interface TokenizerLoad {
  /** tokens that the text encoder knows; a prompt with another is refused */
  readonly vocabSize?: number;
  readonly log?: Logger;
}

export class ClipTokenizer {
  /** Length of `ids`, start and end token included. */
  readonly maxLength: number;
  private readonly ids: Readonly<Record<'start' | 'end' | 'pad', number>>;
  private readonly raw: AddedTokens;
  private readonly normalized: AddedTokens;

  private constructor(
    private readonly place: TokenizerPlace,
    private readonly files: TokenizerFiles,
    private readonly words: Tokenizer,
    private readonly vocabSize: number,
  ) {
    this.maxLength = files.maxLength ?? CLIP_LENGTH;
    const idOf = idsOf(files);
    this.ids = {
      start: idOf.get(files.names.start)!,
      end: idOf.get(files.names.end)!,
      pad: idOf.get(files.names.pad)!,
    };
    const found = files.added.filter(({ special }) => !(special && files.splitSpecial));
    const tokens = (normalized: boolean): Found[] =>
      found
        .filter((token) => token.normalized === normalized)
        .map((token) => ({
          ...token,
          id: idOf.get(token.content)!,
          content: normalized ? this.normalize(token.content) : token.content,
        }));
    this.raw = new AddedTokens(tokens(false));
    this.normalized = new AddedTokens(tokens(true));
  }

  /** @throws UserError when a file is missing or cannot be read as what it should be */
  static async from(place: TokenizerPlace, { vocabSize = Infinity, log }: TokenizerLoad = {}): Promise<ClipTokenizer> {
    const files = await readTokenizerFiles(place);
    if (files.foreign.length > 0)
      log?.warn(
        `${place.at('tokenizer.json')}: ${files.foreign.join(' and ')} is not CLIP's and is not read; CLIPTokenizer of transformers 5 has its own too`,
      );
    const words = new Tokenizer(
      {
        added_tokens: [], // found here, not there: it knows no `single_word`
        normalizer: { type: 'Sequence', normalizers: NORMALIZERS },
        pre_tokenizer: {
          type: 'Sequence',
          pretokenizers: [
            { type: 'Split', pattern: { Regex: `${MARKS}|${WORDS}` }, behavior: 'Removed', invert: true },
            { type: 'Split', pattern: { Regex: WORDS }, behavior: 'Removed', invert: true },
            { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
          ],
        },
        model: {
          type: 'BPE',
          unk_token: Object.hasOwn(files.vocab, files.names.unknown) ? files.names.unknown : files.names.end,
          continuing_subword_prefix: '',
          end_of_word_suffix: '</w>',
          vocab: files.vocab,
          merges: files.merges,
        },
        post_processor: null,
        decoder: null,
      },
      {},
    );
    return new ClipTokenizer(place, files, words, vocabSize);
  }

  /** Largest id among those that every prompt has: start, end, padding. */
  get largestMark(): number {
    return Math.max(...Object.values(this.ids));
  }

  /**
   * @returns ids [maxLength]: start, the text's tokens as far as they fit, end, padding; whether some did not fit
   * @throws UserError when the text has a token that the text encoder does not know
   */
  encode(text: string): { ids: Int32Array; truncated: boolean } {
    const tokens = this.tokens(text),
      room = this.maxLength - 2;
    const kept = this.files.cutLeft ? tokens.slice(Math.max(0, tokens.length - room)) : tokens.slice(0, room);
    const ids = new Int32Array(this.maxLength).fill(this.ids.pad),
      all = [this.ids.start, ...kept, this.ids.end];
    ids.set(all, this.files.padLeft ? this.maxLength - all.length : 0);
    const strange = ids.find((id) => id >= this.vocabSize);
    if (strange !== undefined)
      throw new FileError(
        `${this.place.at('')}: ${JSON.stringify(text)} has the token ${strange}, the text encoder knows ${this.vocabSize}; take the tokenizer that was saved with it`,
      );
    return { ids, truncated: tokens.length > room };
  }

  /** Ids of a text without start, end and padding: added tokens as they stand, then those in lower case, then words. */
  private tokens(text: string): number[] {
    return this.raw.split(text).flatMap((piece) => {
      if (typeof piece === 'number') return piece;
      return this.normalized
        .split(this.normalize(piece))
        .flatMap((rest) =>
          typeof rest === 'number' ? rest : this.words.encode(rest, { add_special_tokens: false }).ids,
        );
    });
  }

  private normalize(text: string): string {
    return (this.words.normalizer as unknown as (text: string) => string)(text);
  }
}

/** Ids by content; a token that the vocabulary lacks gets the next one behind it. */
function idsOf({ vocab, added, names }: TokenizerFiles): Map<string, number> {
  const ids = new Map<string, number>();
  let next = Object.keys(vocab).length;
  for (const content of [...added.map((token) => token.content), ...Object.values(names)]) {
    if (!ids.has(content)) ids.set(content, Object.hasOwn(vocab, content) ? vocab[content] : next++);
  }
  return ids;
}

type Found = AddedToken & { readonly id: number };
const ENDS_IN_WORD = /[\p{L}\p{M}\p{N}_]$/u,
  STARTS_WITH_WORD = /^[\p{L}\p{M}\p{N}_]/u;

/** Finds tokens in a text from left to right, the longest first. */
class AddedTokens {
  private readonly byContent: ReadonlyMap<string, Found>;
  private readonly pattern: RegExp | undefined;

  constructor(tokens: readonly Found[]) {
    this.byContent = new Map(tokens.map((token) => [token.content, token]));
    const contents = [...this.byContent.keys()].filter((content) => content !== '').sort((a, b) => b.length - a.length);
    if (contents.length > 0)
      this.pattern = new RegExp(contents.map((c) => c.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|'), 'gu');
  }

  /** @returns ids of the tokens, and the text between them */
  split(text: string): (number | string)[] {
    if (!this.pattern) return text === '' ? [] : [text];
    const pieces: (number | string)[] = [];
    let from = 0;
    for (const { 0: content, index } of text.matchAll(this.pattern)) {
      const { id, singleWord } = this.byContent.get(content)!;
      const end = index + content.length;
      if (singleWord && (ENDS_IN_WORD.test(text.slice(0, index)) || STARTS_WITH_WORD.test(text.slice(end)))) continue;
      if (index > from) pieces.push(text.slice(from, index));
      pieces.push(id);
      from = end;
    }
    if (from < text.length) pieces.push(text.slice(from));
    return pieces;
  }
}
