/** Tables of file names and texts: metadata.csv or metadata.jsonl, as the hub's image folders have them. */
import { readFile } from 'node:fs/promises';
import { CsvError, parse } from 'csv-parse/sync';
import { UserError } from '../base/errors.js';

export interface CaptionRow {
  readonly file: string;
  readonly text: string;
  /** how errors call the row: the table and the line, as an editor counts */
  readonly where: string;
}

interface Row {
  readonly values: Readonly<Record<string, unknown>>;
  readonly where: string;
}

/** @throws UserError for a missing table, a missing column or a malformed or empty row */
export async function readCaptions(path: string, imageColumn: string, captionColumn: string): Promise<CaptionRow[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      `${path}: cannot be read (${error.code}); write one with the columns ${imageColumn} and ${captionColumn}`,
      { cause: error },
    );
  });
  const rows = path.endsWith('.jsonl') ? jsonLines(text, path) : csv(text, path);
  if (rows.length === 0) throw new UserError(`${path}: no rows; write one per picture`);
  return rows.map((row) => {
    const file = cell(row, imageColumn);
    if (file === '') throw new UserError(`${row.where}: ${imageColumn} is empty; name a file`);
    return { file, text: cell(row, captionColumn), where: row.where };
  });
}

function cell({ values, where }: Row, column: string): string {
  const value = values[column];
  if (typeof value !== 'string') {
    const has = Object.keys(values).join(', ');
    throw new UserError(
      `${where}: ${value === undefined ? `no column "${column}"` : `"${column}" is no text`}; it has ${has} (options image_column, caption_column)`,
    );
  }
  return value;
}

function csv(text: string, path: string): Row[] {
  try {
    const records = parse(text, { columns: true, bom: true, skip_empty_lines: true, info: true }) as unknown as {
      record: Record<string, string>;
      info: { lines: number };
    }[];
    return records.map(({ record, info }) => ({ values: record, where: `${path} line ${info.lines}` }));
  } catch (error) {
    if (error instanceof CsvError)
      throw new UserError(`${path}: ${error.message}; quote texts that contain commas`, { cause: error });
    throw error;
  }
}

function jsonLines(text: string, path: string): Row[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    const where = `${path} line ${i + 1}`;
    try {
      return [{ values: JSON.parse(line) as Record<string, unknown>, where }];
    } catch (error) {
      throw new UserError(`${where}: ${(error as Error).message}; each line is a JSON object of its own`, {
        cause: error,
      });
    }
  });
}
