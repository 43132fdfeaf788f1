/**
 * What the files of a CLIP tokenizer's folder say, read as transformers 5 reads them (`CLIPTokenizer.from_pretrained`):
 * `tokenizer.json` alone, or `vocab.json` and `merges.txt`; with them `tokenizer_config.json`, `special_tokens_map.json`
 * and `added_tokens.json`.
 */
import { FileError } from '../../base/errors.js';

/** A token that is found in a text before words are. */
export interface AddedToken {
  readonly content: string;
  /** found only where no letter, digit or underscore touches it */
  readonly singleWord: boolean;
  /** looked for after the text is lower case, in lower case itself */
  readonly normalized: boolean;
  readonly special: boolean;
}

export interface TokenizerFiles {
  readonly vocab: Readonly<Record<string, number>>;
  /** pairs in order of priority */
  readonly merges: readonly (readonly [string, string])[];
  /** in the order in which those that the vocabulary lacks get ids behind it */
  readonly added: readonly AddedToken[];
  readonly names: Readonly<Record<'start' | 'end' | 'pad' | 'unknown', string>>;
  /** undefined where the files set no limit */
  readonly maxLength: number | undefined;
  readonly padLeft: boolean;
  readonly cutLeft: boolean;
  /** special tokens are plain text in a text */
  readonly splitSpecial: boolean;
  /** parts of tokenizer.json that are not CLIP's; CLIPTokenizer of transformers 5 does not read them */
  readonly foreign: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

/** The names that every tokenizer of transformers may have, in its order. */
const NAMED = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];
const START = '<|startoftext|>',
  END = '<|endoftext|>';

/** Of tokenizer.json: what transformers writes for CLIP, as the types of its parts. */
const CLIP_PARTS: Readonly<Record<string, readonly string[]>> = {
  normalizer: ['Sequence', 'NFC', 'Replace', 'Lowercase'],
  pre_tokenizer: ['Sequence', 'Split', 'ByteLevel'],
  post_processor: ['RobertaProcessing'],
};

/** Where the files of a tokenizer are: a folder, or an address. */
export interface TokenizerPlace {
  /** for messages: the path of a file by its name */
  at(name: string): string;
  /** the text of a file; undefined when it is not there */
  read(name: string): Promise<string | undefined>;
}

/** @throws UserError when a file is missing, damaged, or of another kind of tokenizer */
export async function readTokenizerFiles(place: TokenizerPlace): Promise<TokenizerFiles> {
  const at = (name: string): string => place.at(name);
  const [whole, config, map, addedFile] = await Promise.all(
    ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'].map(async (name) => {
      const text = await place.read(name);
      return text === undefined ? undefined : parse(text, at(name));
    }),
  );
  const { vocab, merges } = whole ? modelOf(whole, at('tokenizer.json')) : await readVocabulary(place);
  // Folders from transformers 4.34 on list the added tokens in tokenizer_config.json; then the other lists do not count.
  const listed = config?.added_tokens_decoder;
  const settings: Json = isObject(listed) ? (config as Json) : { ...config, ...map };
  const fromFiles = isObject(listed)
    ? byId(Object.entries(listed).map(([id, token]) => [Number(id), token]))
    : byId([
        ...Object.entries(addedFile ?? {}).map(([content, id]): [number, unknown] => [
          Number(id),
          addedBefore(content, settings),
        ]),
        ...listOf(whole?.added_tokens).map((token): [number, unknown] => [Number((token as Json).id), token]),
      ]);
  const known = Object.hasOwn(vocab, END) ? END : undefined;
  const end = contentOf(settings.eos_token) ?? END;
  const names = {
    start: contentOf(settings.bos_token) ?? START,
    end,
    pad: contentOf(settings.pad_token) ?? known ?? end,
    unknown: contentOf(settings.unk_token) ?? known ?? end,
  };
  for (const [name, key] of [
    [names.start, 'bos_token'],
    [names.end, 'eos_token'],
  ]) {
    if (!Object.hasOwn(vocab, name) && !fromFiles.some((token) => token.content === name))
      throw new FileError(
        `${at(whole ? 'tokenizer.json' : 'vocab.json')}: no token "${name}"; it is the ${key}${settings[key] === undefined ? ' of CLIP, and no file names another' : ''}`,
      );
  }
  const special = specialTokens(settings, names);
  const padding = isObject(whole?.padding) ? whole.padding : {},
    truncation = isObject(whole?.truncation) ? whole.truncation : {};
  const limit = settings.model_max_length;
  return {
    vocab,
    merges,
    added: withSpecial(fromFiles, special),
    names,
    // "No limit" is a number like 1e30.
    maxLength: typeof limit === 'number' && limit < 1e6 ? checkLength(limit, at('tokenizer_config.json')) : undefined,
    padLeft: isLeft(settings, 'padding_side', padding.direction, at('tokenizer_config.json')),
    cutLeft: isLeft(settings, 'truncation_side', truncation.direction, at('tokenizer_config.json')),
    splitSpecial: settings.split_special_tokens === true,
    foreign: whole ? foreignParts(whole) : [],
  };
}

/** Tokens of added_tokens.json, where only the names are known. */
const addedBefore = (content: string, settings: Json): Json => {
  const special = [...NAMED.map((key) => settings[key]), ...listOf(extras(settings))].some(
    (token) => contentOf(token) === content,
  );
  return { content, special, normalized: !special };
};

function byId(tokens: readonly (readonly [number, unknown])[]): AddedToken[] {
  const ids = new Map(tokens.map(([id, token]) => [id, addedToken(token)]));
  return [...ids].sort(([a], [b]) => a - b).flatMap(([, token]) => token ?? []);
}

const extras = (settings: Json): unknown => settings.extra_special_tokens ?? settings.additional_special_tokens;

/** Every token that a setting names, in transformers' order. */
function specialTokens(settings: Json, names: TokenizerFiles['names']): AddedToken[] {
  const defaults: Json = {
    bos_token: names.start,
    eos_token: names.end,
    unk_token: names.unknown,
    pad_token: names.pad,
  };
  const others = Object.keys(settings).filter(
    (key) => key.endsWith('_token') && !NAMED.includes(key) && contentOf(settings[key]) !== undefined,
  );
  const extra = extras(settings);
  const named = [...NAMED.map((key) => settings[key] ?? defaults[key]), ...others.map((key) => settings[key])];
  const listed = isObject(extra) ? Object.values(extra) : listOf(extra);
  return [...named, ...listed].flatMap((token) => {
    const known = addedToken(token);
    return known ? { ...known, special: true } : [];
  });
}

/** A token that is listed keeps how it is found; a name alone makes it special. */
function withSpecial(listed: readonly AddedToken[], special: readonly AddedToken[]): AddedToken[] {
  const added = new Map(listed.map((token) => [token.content, token]));
  for (const token of special) {
    const before = added.get(token.content);
    added.set(token.content, before ? { ...before, special: true } : token);
  }
  return [...added.values()];
}

/** A token as files write it: plain text, or an object. */
function addedToken(token: unknown): AddedToken | undefined {
  const content = contentOf(token);
  if (content === undefined || content === '') return undefined;
  const flags: Json = isObject(token) ? token : { special: true };
  const special = flags.special === true;
  return {
    content,
    singleWord: flags.single_word === true,
    normalized: typeof flags.normalized === 'boolean' ? flags.normalized : !special,
    special,
  };
}

function contentOf(token: unknown): string | undefined {
  if (isObject(token) && 'content' in token) return String(token.content);
  return typeof token === 'string' ? token : undefined;
}

/** Start and end token need room. */
function checkLength(limit: number, file: string): number {
  if (Number.isInteger(limit) && limit >= 2) return limit;
  throw new FileError(`${file}: model_max_length = ${limit}; a prompt has a start and an end token, so give 2 or more`);
}

function isLeft(settings: Json, key: string, direction: unknown, file: string): boolean {
  const side = settings[key] ?? (typeof direction === 'string' ? direction.toLowerCase() : 'right');
  if (side === 'left' || side === 'right') return side === 'left';
  throw new FileError(`${file}: ${key} = ${JSON.stringify(side)}; supported: "right", "left"`);
}

/** Vocabulary and merges of tokenizer.json. */
function modelOf(whole: Json, file: string): Pick<TokenizerFiles, 'vocab' | 'merges'> {
  const model = isObject(whole.model) ? whole.model : {};
  if ((model.type ?? 'BPE') !== 'BPE' || !isObject(model.vocab) || !Array.isArray(model.merges))
    throw new FileError(
      `${file}: its model is ${JSON.stringify(model.type ?? null)}, not CLIP's byte-pair encoding ("BPE" with vocab and merges); is it another model's tokenizer?`,
    );
  return {
    vocab: checkVocab(model.vocab, file),
    merges: model.merges.map((merge: unknown, i) => {
      const pair: unknown[] = typeof merge === 'string' ? merge.split(' ') : listOf(merge);
      if (pair.length === 2 && pair.every((part) => typeof part === 'string'))
        return pair as unknown as [string, string];
      throw new FileError(`${file}: merge ${i} is ${JSON.stringify(merge)}, not two tokens; copy the file again`);
    }),
  };
}

function foreignParts(whole: Json): string[] {
  const types = (part: unknown): string[] =>
    isObject(part)
      ? [
          String(part.type),
          ...['normalizers', 'pretokenizers', 'processors'].flatMap((key) => listOf(part[key]).flatMap(types)),
        ]
      : [];
  return Object.entries(CLIP_PARTS)
    .filter(([key, clip]) => JSON.stringify(types(whole[key])) !== JSON.stringify(clip))
    .map(([key]) => key);
}

async function readVocabulary(place: TokenizerPlace): Promise<Pick<TokenizerFiles, 'vocab' | 'merges'>> {
  const [vocab, merges] = await Promise.all(
    ['vocab.json', 'merges.txt'].map(async (name) => {
      const text = await place.read(name);
      if (text !== undefined) return text;
      throw new FileError(
        `${place.at(name)}: missing; a tokenizer folder holds tokenizer.json, or vocab.json and merges.txt`,
        { code: 'FILE_NOT_FOUND' },
      );
    }),
  );
  const file = place.at('vocab.json');
  return { vocab: checkVocab(parse(vocab, file), file), merges: parseMerges(merges, place.at('merges.txt')) };
}

function checkVocab(vocab: Json, file: string): Record<string, number> {
  const odd = Object.entries(vocab).find(([, id]) => !Number.isSafeInteger(id) || (id as number) < 0);
  if (odd)
    throw new FileError(
      `${file}: token ${JSON.stringify(odd[0])} has the id ${JSON.stringify(odd[1])}; copy the file again`,
    );
  return vocab as Record<string, number>;
}

/** The first line is a version. */
function parseMerges(text: string, file: string): [string, string][] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#version'))
    .map((line) => {
      const pair = line.split(' ');
      if (pair.length === 2) return pair as [string, string];
      throw new FileError(`${file}: the line ${JSON.stringify(line)} is not two tokens; copy the file again`);
    });
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

function parse(text: string, path: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    /* the same message as for a wrong value */
  }
  throw new FileError(`${path}: not a JSON object; copy the file again`);
}
