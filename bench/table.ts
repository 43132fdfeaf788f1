/** Tables for people: aligned text, and Markdown. */

export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => string;
}

const cells = <Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[][] => [
  columns.map((c) => c.head),
  ...rows.map((row) => columns.map((c) => c.cell(row))),
];
const isNumber = (text: string): boolean => /^[\d.,-]/.test(text) || text === '';

/** Columns that hold numbers are aligned to the right. */
export function textTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const all = cells(columns, rows),
    widths = columns.map((_, i) => Math.max(...all.map((line) => line[i].length)));
  const right = columns.map((_, i) => all.slice(1).every((line) => isNumber(line[i])));
  return all
    .map((line) =>
      line
        .map((text, i) => (right[i] ? text.padStart(widths[i]) : text.padEnd(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function markdownTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const line = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`;
  const [head, ...body] = cells(columns, rows);
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n');
}

/** "0.0123", "1.23", "12.3": three digits, as many as a measurement is worth; nothing for nothing. */
export function figure(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '';
  if (value === 0) return '0';
  return value.toFixed(Math.min(4, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))));
}

export const gigabytes = (mb: number | undefined): string => (mb === undefined ? '' : (mb / 1024).toFixed(2));
export const ratio = (value: number | undefined): string => value?.toFixed(2) ?? '';
