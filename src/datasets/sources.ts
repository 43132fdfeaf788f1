/** Where pictures come from: files in a folder, or rows of parquet files, as hub datasets have them. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import { UserError } from '../base/errors.js';
import { decodeImage, readImage } from './image/picture-file.js';
import { isImageName } from './image/picture-format.js';
import type { Source } from './pipeline.js';

/**
 * All pictures of a folder, sorted by name: the files in it; if there are none, those in its subfolders; if there are
 * none either, the `image` column of its parquet files.
 * @throws UserError when there is no such folder or no picture in it
 */
export async function folderSources(folder: string): Promise<Source[]> {
  const names = await listFiles(folder);
  const pictures = names.filter((name) => isImageName(name.split('/').at(-1)!));
  const here = pictures.filter((name) => !name.includes('/'));
  const chosen = here.length > 0 ? here : pictures;
  const sources =
    chosen.length > 0 ? chosen.map((name) => fileSource(join(folder, name))) : await parquetSources(folder, names);
  if (sources.length === 0) {
    throw new UserError(
      `${folder}: no pictures in it (${names.length} other files); put .png, .jpg, .jpeg, .webp or .parquet files there`,
    );
  }
  return sources;
}

export const fileSource = (path: string): Source => ({ name: path, load: () => readImage(path) });

/** Names relative to the folder, with forward slashes, sorted by code unit as Python's sorted() does; nothing hidden. */
async function listFiles(folder: string): Promise<string[]> {
  try {
    const names = await readdir(folder, { recursive: true });
    return names
      .map((name) => name.replaceAll('\\', '/'))
      .filter((name) => !/(^|\/)\./.test(name))
      .sort();
  } catch (error) {
    throw new UserError(
      `${folder}: cannot be opened as a folder (${(error as NodeJS.ErrnoException).code}); is the path right?`,
      { cause: error },
    );
  }
}

async function parquetSources(folder: string, names: readonly string[]): Promise<Source[]> {
  const files = names.filter((name) => name.endsWith('.parquet')).map((name) => join(folder, name));
  return (await Promise.all(files.map(readParquet))).flat();
}

/** The encoded pictures stay in memory, as large as the file. */
async function readParquet(path: string): Promise<Source[]> {
  const rows = await parquetImageRows(path);
  return rows.map(({ image }, row) => {
    const bytes = (image as { bytes?: unknown } | null)?.bytes;
    if (!(bytes instanceof Uint8Array)) {
      throw new UserError(
        `${path} row ${row}: the image column has no bytes; download the dataset with its images embedded`,
      );
    }
    const name = `${path} row ${row}`;
    return { name, load: () => decodeImage(bytes, name) };
  });
}

async function parquetImageRows(path: string): Promise<Record<string, unknown>[]> {
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
    if (!columns.includes('image')) {
      throw new UserError(`${path}: no column "image"; it has ${columns.join(', ')}`);
    }
    // utf8: false keeps binary columns binary; strings are marked as such in the file and stay strings.
    return await parquetReadObjects({
      file,
      metadata,
      columns: ['image'],
      utf8: false,
      compressors: { GZIP: (input) => gunzipSync(input), BROTLI: (input) => brotliDecompressSync(input) },
    });
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${path}: not a readable parquet file (${(error as Error).message}); download it again`, {
      cause: error,
    });
  }
}
