/** Where a file cannot be read as JavaScript or TypeScript. */
import type { OxcError } from 'oxc-transform';

/** `<path>:<line>: <what>` of the first */
export const syntaxError = (file: string, text: string, [first]: readonly OxcError[]): string =>
  `${file}${lineOf(text, first)}: ${first.message}`;

/** `:<line>` of an error, where it has one */
export function lineOf(text: string, error: OxcError | undefined): string {
  const at = error?.labels[0]?.start;
  return at === undefined ? '' : `:${text.slice(0, at).split('\n').length}`;
}
