/** Tables as rows of named values: .csv and .tsv with a header line, .jsonl with an object per line. */
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { CsvError, parse } from 'csv-parse/sync';
import { UserError } from '../base/errors.js';
import { decodeText } from '../base/text-file.js';

export interface Row {
  readonly values: Readonly<Record<string, unknown>>;
  /** how errors call the row: the table and the line, as an editor counts */
  readonly where: string;
}

/** Tables that people have and that are not read. */
const OTHERS = ['.json', '.parquet', '.xlsx', '.xls', '.ods'];

/** What spreadsheets write where a comma is the decimal sign, and what is a `.tsv` under another name. */
const OTHER_DELIMITERS = [
  { sign: ';', name: 'semicolons', fix: 'save it with commas' },
  { sign: '\t', name: 'tabs', fix: 'call it .tsv' },
] as const;

/** By csv-parse's codes. */
const ADVICE: Readonly<Record<string, string>> = {
  CSV_RECORD_INCONSISTENT_COLUMNS:
    'each row has a value for each column; put quotes around a text that contains commas',
  CSV_RECORD_INCONSISTENT_FIELDS_LENGTH:
    'each row has a value for each column; put quotes around a text that contains commas',
  CSV_QUOTE_NOT_CLOSED: 'close the quote',
  CSV_INVALID_CLOSING_QUOTE: 'write a quote inside a quoted text twice',
};

/**
 * @param absent what to do where there is no such file
 * @throws UserError for a file that cannot be read or decoded, a malformed row, or a column that is there twice
 */
export async function readTable(path: string, absent: string): Promise<Row[]> {
  const suffix = extname(path).toLowerCase();
  if (OTHERS.includes(suffix))
    throw new UserError(`${path}: a table in ${suffix} is not read; save it as .csv or .jsonl`);
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${path}: cannot be read (${error.code}); ${absent}`, { cause: error });
  });
  const text = decodeText(bytes, path);
  return suffix === '.jsonl' || suffix === '.ndjson'
    ? jsonLines(text, path)
    : csv(text, path, suffix === '.tsv' ? '\t' : ',');
}

function csv(text: string, path: string, delimiter: string): Row[] {
  const columns = (header: string[]): string[] => {
    const twice = header.find((name, i) => header.indexOf(name) < i);
    if (twice !== undefined) throw new UserError(`${path}: two columns "${twice}"; rename one`);
    const other =
      header.length === 1 && OTHER_DELIMITERS.find(({ sign }) => sign !== delimiter && header[0].includes(sign));
    if (other) throw new UserError(`${path} line 1: its columns are separated by ${other.name}; ${other.fix}`);
    return header;
  };
  try {
    const records = parse(text, {
      columns,
      delimiter,
      skip_empty_lines: true,
      info: true,
      relax_quotes: true, // a quote inside a text (a 5" disk) is a quote, as in pandas
    }) as unknown as {
      record: Record<string, string>;
      info: { lines: number };
    }[];
    return records.map(({ record, info }) => ({ values: record, where: `${path} line ${info.lines}` }));
  } catch (error) {
    if (error instanceof CsvError)
      throw new UserError(`${path}: ${error.message}; ${ADVICE[error.code] ?? 'save it as .csv again'}`, {
        cause: error,
      });
    throw error;
  }
}

function jsonLines(text: string, path: string): Row[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    const where = `${path} line ${i + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new UserError(`${where}: ${(error as Error).message}; each line is a JSON object of its own`, {
        cause: error,
      });
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new UserError(
        `${where}: ${line.trim().slice(0, 40)} is no JSON object; write {"column": "value", ...}, or remove the line`,
      );
    return [{ values: value as Record<string, unknown>, where }];
  });
}
