/** Where pictures come from: files in a folder, or rows of parquet files, as hub datasets have them. */
import { basename, join } from 'node:path';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { listFolder, unusedFiles } from './folder.js';
import { readImage } from './image/picture-file.js';
import { isImageName, isOtherImageName } from './image/picture-format.js';
import { parquetSources } from './parquet.js';
import type { Source } from './pipeline.js';
import { numberedFolder } from './repeats.js';

/**
 * All pictures of a folder, sorted by name: the files in it; if there are none, those in its subfolders; if there are
 * none either, the `image` column of its parquet files. What is not used is named in one warning.
 * @throws UserError when there is no such folder or no picture in it
 */
export async function folderSources(folder: string, log: Logger): Promise<Source[]> {
  const names = await listFolder(folder);
  const pictures = names.filter((name) => isImageName(basename(name)));
  const here = pictures.filter((name) => !name.includes('/'));
  const chosen = here.length > 0 ? here : pictures;
  const tables = chosen.length > 0 ? [] : names.filter((name) => name.endsWith('.parquet'));
  const sources =
    chosen.length > 0
      ? chosen.map((name) => fileSource(join(folder, name)))
      : (
          await Promise.all(tables.map((name, i) => parquetSources(join(folder, name), i === 0 ? log : undefined)))
        ).flat();
  if (sources.length === 0) throw nothingIn(folder, names);
  const unused = unusedFiles(folder, names, new Set([...chosen, ...tables]), {
    pictures: 'subfolders are read only where the folder itself has no pictures',
    captions: 'ImageFolderDataset reads them, with caption_extension',
  });
  if (unused !== undefined) log.warn(unused);
  const numbered = numberedFolder(folder, chosen);
  if (numbered !== undefined)
    log.warn(
      `${folder}: the number of "${numbered}" does not repeat its pictures; ImageFolderDataset with repeats: folder_name does`,
    );
  return sources;
}

export const fileSource = (path: string): Source => ({ name: path, load: () => readImage(path) });

function nothingIn(folder: string, names: readonly string[]): UserError {
  const unread = names.filter(isOtherImageName);
  return new UserError(
    unread.length > 0
      ? `${folder}: no pictures in it that are read (${unread.length} like ${unread[0]}); save them as .png or .jpg`
      : `${folder}: no pictures in it (${names.length} other files); put .png, .jpg, .webp, .gif, .bmp, .tif, .avif or .parquet files there`,
  );
}
