/** Pictures in parquet files, as datasets of the hub have them. */
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { UserError } from '../base/errors.js';
import { refuseLfsPointer } from '../base/lfs-pointer.js';
import type { Logger } from '../base/logger.js';
import { count } from './folder.js';
import { decodeImage, readImage } from './image/picture-file.js';
import type { Source } from './pipeline.js';

/**
 * The column `image`: encoded pictures as bytes, or as `{ bytes, path }`, the `Image` of Hugging Face's datasets. The
 * bytes stay in memory, as large as the file.
 * @param log hears of columns that are not used
 * @throws UserError when the file is none, or a row has no picture
 */
export async function parquetSources(path: string, log?: Logger): Promise<Source[]> {
  const rows = await imageRows(path, log);
  return rows.map(({ image }, row) => {
    const name = `${path} row ${row}`,
      nested = typeof image === 'object' && image !== null && !(image instanceof Uint8Array);
    const { bytes, path: file } = (nested ? image : { bytes: image }) as { bytes?: unknown; path?: unknown };
    if (bytes instanceof Uint8Array) return { name, load: () => decodeImage(bytes, name) };
    if (typeof file === 'string' && file !== '') return { name, load: () => readImage(join(dirname(path), file)) };
    throw new UserError(
      `${name}: ${image === null ? 'null' : bytes === undefined || bytes === null ? 'no bytes' : `a ${typeof bytes}`} in the column image; download the dataset with its images embedded`,
    );
  });
}

async function imageRows(path: string, log: Logger | undefined): Promise<Record<string, unknown>[]> {
  try {
    await refusePointer(path);
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
    if (!columns.includes('image')) {
      throw new UserError(`${path}: no column "image"; it has ${columns.join(', ')}`);
    }
    const others = columns.filter((name) => name !== 'image');
    if (others.length > 0) log?.warn(`${path}: ${count(others.length, 'column')} not used: ${others.join(', ')}`);
    // utf8: false keeps binary columns binary; strings are marked as such in the file and stay strings.
    return await parquetReadObjects({ file, metadata, columns: ['image'], utf8: false, compressors });
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { message } = error as Error,
      fix = message.includes('compression codec')
        ? 'write it with snappy, gzip, brotli, zstd or lz4'
        : 'download it again';
    throw new UserError(`${path}: not a readable parquet file (${message}); ${fix}`, { cause: error });
  }
}

async function refusePointer(path: string): Promise<void> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(256), 0, 256, 0);
    refuseLfsPointer(buffer.subarray(0, bytesRead), path, 'the parquet file', (await file.stat()).size);
  } finally {
    await file.close();
  }
}
