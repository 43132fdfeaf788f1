/** What a text says that its picture shows: one phrase per attribute, found as whole words. */
import { UserError } from '../base/errors.js';
import { float32, type HostTensor } from '../tensor/host.js';

/** Per attribute the phrases that it can have: `{ subject: ['dog', 'cat'], setting: ['on grass', 'at the beach'] }`. */
export type Attributes = Readonly<Record<string, readonly string[]>>;

/** @param where for errors @throws UserError for what is no such table */
export function checkAttributes(attributes: unknown, where: string): asserts attributes is Attributes {
  const bad = (at: string, what: string): UserError => new UserError(`${where}${at}: ${what}`);
  if (
    typeof attributes !== 'object' ||
    attributes === null ||
    Array.isArray(attributes) ||
    Object.keys(attributes).length === 0
  ) {
    throw bad('', `${JSON.stringify(attributes)} names no attribute; write { subject: ['dog', 'cat'] }`);
  }
  for (const [name, phrases] of Object.entries(attributes) as [string, unknown][]) {
    // they are part of parameter names
    if (!/^[a-z]\w*$/i.test(name)) throw bad('', `"${name}" is not a name of an attribute; take letters, digits and _`);
    if (!Array.isArray(phrases) || phrases.length < 2 || phrases.some((p) => typeof p !== 'string'))
      throw bad(`.${name}`, `${JSON.stringify(phrases)} is not a list of two or more phrases`);
    const seen = new Set<string>();
    for (const phrase of (phrases as string[]).map(normal)) {
      if (phrase === '') throw bad(`.${name}`, 'an empty phrase is in every text; leave it out');
      if (seen.has(phrase)) throw bad(`.${name}`, `"${phrase}" is there twice; leave one out`);
      seen.add(phrase);
    }
  }
}

const normal = (phrase: string): string => phrase.trim().toLowerCase().replace(/\s+/g, ' ');

/** Finds the phrases of one attribute. */
export class PhraseFinder {
  private readonly index: ReadonlyMap<string, number>;
  private readonly pattern: RegExp;

  constructor(readonly phrases: readonly string[]) {
    this.index = new Map(phrases.map((phrase, i) => [normal(phrase), i]));
    // The longest first: "hot dog" is not also a dog. A hyphen joins words: "cat-flap" is no cat.
    const longestFirst = [...this.index.keys()].sort((a, b) => b.length - a.length);
    const words = longestFirst.map((phrase) => phrase.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&').replaceAll(' ', '\\s+'));
    this.pattern = new RegExp(`(?<![\\p{L}\\p{N}_-])(?:${words.join('|')})(?![\\p{L}\\p{N}_-])`, 'giu');
  }

  /** The position of the one phrase of the list that the text has; undefined when it has none, or two that differ. */
  find(text: string): number | undefined {
    const found = new Set((text.match(this.pattern) ?? []).map((match) => this.index.get(normal(match))));
    return found.size === 1 ? [...found][0] : undefined;
  }
}

/** @param labels positions below `count` @returns [rows, count], 1 at each label; a row without a label is 0 */
export function oneHot(labels: readonly (number | undefined)[], count: number): HostTensor {
  const data = new Float32Array(labels.length * count);
  labels.forEach((label, row) => {
    if (label !== undefined) data[row * count + label] = 1;
  });
  return float32(data, [labels.length, count]);
}
