/**
 * Does a program print what a document shows? Lines in order; a line `...` stands for any lines, `...` within a line for
 * any text; the document may begin later and end sooner. Whole numbers are equal, others to 1e-4 of their size or one in
 * the last digit shown. Times and speeds may be any.
 */
import { distance } from 'fastest-levenshtein';

export interface CompareOptions {
  /** false: any number will do, in names too */
  readonly numbers?: boolean;
}

const ANY_DIGITS = String.raw`\d[\d,.]*(?:e[-+]?\d+)?`;
const NUMBER = String.raw`(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w|\.\d|,\d)`;
const TIME = String.raw`(?<![\w.])\d[\d.,]* (?:ms|s|min|h)\b|\d+:\d\d:\d\d`;
const SPEED = String.raw`(?<![\w.])\d[\d.,]* (?:it\/s|s\/it|[KMGT]?FLOP\/s|[KMG]?B\/s)`;
const PIECES = [NUMBER, ANY_DIGITS].map(
  (number) => new RegExp(String.raw`(\.\.\.)|(${TIME})|(${SPEED})|(\s+)|(${number})`, 'g'),
);

/** @returns what differs, in words, or undefined */
export function difference(shown: string, printed: string, options: CompareOptions = {}): string | undefined {
  const lines = printed.split('\n');
  let from = 0;
  for (const part of parts(shown)) {
    const at = lines.findIndex((_, i) => i >= from && part.every((line, k) => !lineDifference(line, lines[i + k], options)));
    if (at < 0) return nearest(part, lines.slice(from), options);
    from = at + part.length;
  }
  return undefined;
}

/** Lines that follow one another, between lines of dots. */
function parts(shown: string): string[][] {
  const found: string[][] = [[]];
  for (const line of shown.trimEnd().split('\n'))
    if (line.trim() === '...') found.push([]);
    else found[found.length - 1].push(line);
  return found.filter((part) => part.length > 0);
}

/** Where the part fits best, the first line that is another. */
function nearest(part: readonly string[], lines: readonly string[], options: CompareOptions): string {
  const distances = lines.map((_, i) => part.reduce((sum, line, k) => sum + distance(line, lines[i + k] ?? ''), 0));
  const at = distances.indexOf(Math.min(...distances));
  return part.map((line, k) => lineDifference(line, lines[at + k], options)).find(Boolean) ?? 'nothing is printed';
}

function lineDifference(shown: string, printed: string | undefined, { numbers = true }: CompareOptions): string | undefined {
  const text = `shown "${shown}", printed "${printed ?? 'nothing'}"`;
  const values: string[] = [];
  let pattern = '',
    end = 0;
  for (const match of shown.trimEnd().matchAll(PIECES[numbers ? 0 : 1])) {
    const [whole, dots, time, speed, space] = match;
    pattern += escape(shown.slice(end, match.index));
    pattern += dots ? '.*' : time ? `(?:${TIME})` : speed ? `(?:${SPEED})` : space ? String.raw`\s+` : `(${numbers ? NUMBER : `-?${ANY_DIGITS}`})`;
    if (!dots && !time && !speed && !space) values.push(whole);
    end = match.index + whole.length;
  }
  pattern += escape(shown.trimEnd().slice(end));
  const found = new RegExp(`^${pattern}$`).exec((printed ?? '').trimEnd());
  if (printed === undefined || !found) return text;
  const wrong = values.find((value, i) => numbers && !sameNumber(value, found[i + 1]));
  return wrong === undefined ? undefined : `${text}: ${wrong} differs`;
}

const escape = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

function sameNumber(shown: string, printed: string): boolean {
  const [a, b] = [shown, printed].map((text) => Number(text.replaceAll(',', '')));
  const [, decimals, exponent] = /^[^.e]*(?:\.(\d+))?(?:e(.+))?$/.exec(shown) ?? [];
  if (decimals === undefined && exponent === undefined) return a === b;
  const lastDigit = 10 ** (Number(exponent ?? 0) - (decimals?.length ?? 0));
  return Math.abs(a - b) <= Math.max(1e-4 * Math.abs(a), 1.0000001 * lastDigit);
}
