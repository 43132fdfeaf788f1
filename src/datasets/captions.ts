/** Which picture has which text, from a table: metadata.csv or metadata.jsonl, as the hub's image folders have them. */
import { stat } from 'node:fs/promises';
import { basename, extname, isAbsolute, join, relative } from 'node:path';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { count, examples, stem, type DescribedPicture } from './folder.js';
import { isImageName } from './image/picture-format.js';
import { readTable, type Row } from './table.js';

export interface TableOptions {
  /** the table, relative to the folder */
  readonly csv: string;
  readonly image_column: string;
  readonly caption_column: string;
}

interface CaptionRow {
  readonly file: string;
  readonly text: string;
  /** how errors call the row: the table and the line, as an editor counts */
  readonly where: string;
}

/**
 * One picture per row. Columns that are not used and pictures in several rows are named in a warning each.
 * @param names all files of the folder
 * @throws UserError for a missing table, a missing column, a malformed or empty row, or pictures that are not there
 */
export async function tablePictures(
  folder: string,
  names: readonly string[],
  { csv, image_column, caption_column }: TableOptions,
  log: Logger,
): Promise<DescribedPicture[]> {
  const table = join(folder, csv),
    absent = otherTexts(names) ?? `write one with the columns ${image_column} and ${caption_column}`,
    rows = await readTable(table, absent);
  if (rows.length === 0) throw new UserError(`${table}: no rows; write one per picture`);
  const captions = rows.map((row): CaptionRow => {
    const file = cell(row, image_column);
    if (/^[a-z][a-z0-9+.-]+:\/\//i.test(file))
      throw new UserError(`${row.where}: ${file} is an address; download the picture, and name the file`);
    if (file === '') throw new UserError(`${row.where}: ${image_column} is empty; name a file`);
    return { file, text: cell(row, caption_column), where: row.where };
  });
  const columns = new Set(rows.flatMap(({ values }) => Object.keys(values)));
  for (const known of [image_column, caption_column]) columns.delete(known);
  if (columns.size > 0) log.warn(`${table}: ${count(columns.size, 'column')} not used: ${[...columns].join(', ')}`);

  const paths = await Promise.all(captions.map(({ file }) => findPicture(join(table, '..'), file)));
  const missing = captions.filter((_, i) => paths[i] === undefined);
  if (missing.length > 0) throw notThere(missing, rows.length, table);
  const found = captions.map(({ text }, i) => {
    const path = paths[i]!;
    return { name: relative(folder, path).replaceAll('\\', '/'), path, text };
  });
  const empty = captions.filter(({ text }) => text.trim() === '');
  if (empty.length > 0)
    log.warn(
      `${table}: ${count(empty.length, 'picture')} without a text, trained with an empty prompt (${examples(empty.map(({ file }) => file))})`,
    );
  const twice = severalTimes(found.map(({ name }) => name));
  if (twice.length > 0)
    log.warn(`${table}: ${count(twice.length, 'picture')} in several rows, each of which counts (${examples(twice)})`);
  return found;
}

function cell({ values, where }: Row, column: string): string {
  const value = Object.hasOwn(values, column) ? values[column] : undefined;
  if (typeof value === 'string') return value;
  const what =
    value === undefined ? `no column "${column}"` : `"${column}" is no text but ${JSON.stringify(value).slice(0, 40)}`;
  throw new UserError(
    `${where}: ${what}; it has ${Object.keys(values).join(', ') || 'none'} (options image_column, caption_column)`,
  );
}

/** As Python's os.path.join: an absolute path stands for itself. Separators of Windows count where nothing has that name. */
async function findPicture(folder: string, file: string): Promise<string | undefined> {
  for (const name of new Set([file, file.replaceAll('\\', '/')])) {
    const path = isAbsolute(name) ? name : join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) return path;
  }
  return undefined;
}

function notThere(missing: readonly CaptionRow[], all: number, table: string): UserError {
  const [{ where, file }] = missing;
  if (missing.length === 1)
    return new UserError(
      `${where}: no such picture, ${isAbsolute(file) ? file : join(table, '..', file)}; correct the name or remove the row`,
    );
  const which = examples(missing.map((row) => `${row.file} in ${row.where.slice(table.length + 1)}`));
  return new UserError(
    `${table}: ${missing.length} of ${all} pictures are not there (${which}); correct the names or remove the rows`,
  );
}

function severalTimes(names: readonly string[]): string[] {
  const seen = new Set<string>();
  return [...new Set(names.filter((name) => seen.size === seen.add(name).size))];
}

/** What to do where the table is missing: texts may be there in another form. */
function otherTexts(names: readonly string[]): string | undefined {
  const table = names.find((name) => /^[^/]*\.(csv|tsv|jsonl)$/i.test(name));
  if (table !== undefined) return `there is ${table} (option csv)`;
  const pictures = new Set(names.filter((name) => isImageName(basename(name))).map(stem)),
    beside = names.find((name) => /\.(txt|caption)$/i.test(name) && pictures.has(stem(name)));
  return beside && `there are captions like ${beside} (option caption_extension: "${extname(beside)}")`;
}
