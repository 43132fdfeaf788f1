/** One line of progress, as wide as the terminal allows. */

/** Signs of a bar where there is room, and where there is little. */
const WIDE = 20,
  NARROW = 10;

/**
 * @param text pieces with two spaces between, the most important first; the last ones go when the line is too long
 * @param share done, 0 to 1; undefined where it is not known @param columns signs that the line may have
 */
export function fitted(text: string, share: number | undefined, columns: number): string {
  const pieces = text.split('  ');
  const line = (bar: string, count: number): string =>
    [...(bar === '' ? [] : [bar]), ...pieces.slice(0, count)].join('  ');
  for (const size of share === undefined ? [0] : [WIDE, NARROW])
    if (line(drawn(size, share), pieces.length).length <= columns) return line(drawn(size, share), pieces.length);
  for (let count = pieces.length; count > 0; count--) {
    const short = line(drawn(share === undefined ? 0 : NARROW, share), count);
    if (short.length <= columns) return short;
  }
  return pieces[0].slice(0, Math.max(columns, 0));
}

function drawn(size: number, share = 0): string {
  const done = Math.round(size * Math.min(1, Math.max(0, share)));
  return '='.repeat(done) + '-'.repeat(size - done);
}
