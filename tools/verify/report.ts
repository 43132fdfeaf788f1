/** Rows of the comparison table. */

export interface Row {
  readonly file: string;
  readonly tensor: string;
  readonly maxAbs: number;
  readonly maxRel: number;
  /** what was compared with the limit: `rel`, `abs`, `rms`, `1-cos`, `exact` */
  readonly measure: string;
  readonly limit: number;
  readonly ok: boolean;
}

type Numbers = ArrayLike<number>;

export class Report {
  readonly rows: Row[] = [];
  /** tensors that no check looked at */
  readonly skipped: { readonly file: string; readonly tensor: string }[] = [];
  private file = '';

  /** The reference file that the next rows are about. */
  about(file: string): void {
    this.file = file;
  }

  /** Largest difference over the largest expected value. */
  rel(tensor: string, actual: Numbers, expected: Numbers, limit: number): void {
    const { abs, rel } = differences(actual, expected);
    this.add(tensor, 'rel', rel, limit, abs, rel);
  }

  abs(tensor: string, actual: Numbers, expected: Numbers, limit: number): void {
    const { abs, rel } = differences(actual, expected);
    this.add(tensor, 'abs', abs, limit, abs, rel);
  }

  rms(tensor: string, actual: Numbers, expected: Numbers, limit: number): void {
    const { abs, rel } = differences(actual, expected);
    let squares = 0;
    for (let i = 0; i < expected.length; i++) squares += (actual[i] - expected[i]) ** 2;
    this.add(tensor, 'rms', Math.sqrt(squares / expected.length), limit, abs, rel);
  }

  /** Angle between two vectors. */
  cosine(tensor: string, actual: Numbers, expected: Numbers, limit: number): void {
    let dot = 0,
      a = 0,
      b = 0;
    for (let i = 0; i < expected.length; i++) {
      dot += actual[i] * expected[i];
      a += actual[i] ** 2;
      b += expected[i] ** 2;
    }
    const { abs, rel } = differences(actual, expected);
    this.add(tensor, '1-cos', 1 - dot / Math.sqrt(a * b), limit, abs, rel);
  }

  exact(tensor: string, actual: unknown, expected: unknown): void {
    const same = JSON.stringify(actual) === JSON.stringify(expected);
    this.add(tensor, 'exact', same ? 0 : 1, 0, same ? 0 : NaN, same ? 0 : NaN);
  }

  /** A part of the folder that could not be checked; counts as a miss. */
  missing(tensor: string): void {
    this.add(`${tensor} (not checked)`, 'exact', 1, 0, NaN, NaN);
  }

  /** A tensor that no check looked at: named at the end, no miss. */
  skip(tensor: string): void {
    this.skipped.push({ file: this.file, tensor });
  }

  get misses(): readonly Row[] {
    return this.rows.filter((r) => !r.ok);
  }

  /** The table, one row per tensor; `brief` shows a line per file and every miss. */
  table(brief: boolean): string {
    const cell = (r: Row): string[] => [
      r.file,
      r.tensor,
      r.maxAbs.toExponential(1),
      r.maxRel.toExponential(1),
      `${r.measure} ${Number(r.limit.toPrecision(2))}`,
      r.ok ? 'ok' : 'MISS',
    ];
    const shown = brief ? [...perFile(this.rows), ...this.misses] : this.rows;
    const cells = [['file', 'tensor', 'max abs', 'max rel', 'limit', ''], ...shown.map(cell)];
    const widths = cells[0].map((_, c) => Math.max(...cells.map((row) => row[c].length)));
    return cells
      .map((row) =>
        row
          .map((text, c) => text.padEnd(widths[c]))
          .join('  ')
          .trimEnd(),
      )
      .join('\n');
  }

  /** What no check looked at, a line per tensor; `brief` is a line per file. */
  skippedLines(brief: boolean): string[] {
    if (!brief) return this.skipped.map(({ file, tensor }) => `skipped ${file}: ${tensor}`);
    return [...new Set(this.skipped.map(({ file }) => file))].map((file) => {
      const own = this.skipped.filter((s) => s.file === file).map(({ tensor }) => tensor);
      return `skipped ${file}: ${own.length === 1 ? '' : `${own.length}, `}${own.slice(0, 3).join(', ')}${own.length > 3 ? ', ...' : ''}`;
    });
  }

  private add(tensor: string, measure: string, value: number, limit: number, maxAbs: number, maxRel: number): void {
    this.rows.push({ file: this.file, tensor, maxAbs, maxRel, measure, limit, ok: value <= limit });
  }
}

/** The row nearest to its limit, for each file. */
function perFile(rows: readonly Row[]): Row[] {
  const files = [...new Set(rows.map((r) => r.file))];
  return files.map((file) => {
    const own = rows.filter((r) => r.file === file);
    const worst = own.reduce((a, b) => (b.maxRel / b.limit > a.maxRel / a.limit ? b : a));
    return { ...worst, tensor: `${own.length} tensors, worst ${worst.tensor}`, ok: own.every((r) => r.ok) };
  });
}

function differences(actual: Numbers, expected: Numbers): { abs: number; rel: number } {
  if (actual.length !== expected.length) return { abs: NaN, rel: NaN };
  let abs = 0,
    top = 0;
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(actual[i] - expected[i]);
    if (Number.isNaN(d)) return { abs: NaN, rel: NaN }; // fails every comparison
    abs = Math.max(abs, d);
    top = Math.max(top, Math.abs(expected[i]));
  }
  return { abs, rel: abs / Math.max(top, 1e-30) };
}
