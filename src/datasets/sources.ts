/** Where pictures come from: files in a folder, or rows of parquet files, as hub datasets have them. */
import { basename, join } from 'node:path';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { Candidate } from './check.js';
import { listFolder, unusedFiles } from './folder.js';
import { readImage } from './image/picture-file.js';
import { isImageName, isOtherImageName } from './image/picture-format.js';
import { parquetSources } from './parquet.js';
import type { Source } from './pipeline.js';
import { numberedFolder } from './repeats.js';
import { sidecarPictures } from './sidecars.js';

/**
 * All pictures of a folder, sorted by name: the files in it; if there are none, those in its subfolders; if there are
 * none either, the `image` column of its parquet files. What is not used is named in one warning.
 * @throws UserError when there is no such folder or no picture in it
 */
export async function folderSources(folder: string, log: Logger): Promise<Source[]> {
  return readPictures(await findPictures(folder), [], log);
}

/**
 * The same pictures, each with a text: the first line of its caption file, or `otherwise` for those without.
 * @param extension of caption files, such as ".txt"; null: `otherwise` describes all
 * @throws UserError as folderSources, and when an extension is given that no file beside a picture has
 */
export async function captionedSources(
  folder: string,
  extension: string | null,
  otherwise: string,
  log: Logger,
): Promise<Candidate[]> {
  const found = await findPictures(folder);
  if (extension === null) return (await readPictures(found, [], log)).map((source) => ({ source, text: otherwise }));
  if (found.tables.length > 0)
    throw new UserError(
      `${folder}: caption_extension reads files beside picture files, of which it has none; remove caption_extension`,
    );
  const fallback = { text: () => otherwise, said: `instance_prompt: ${otherwise}`, forAll: false },
    { pictures, files } = await sidecarPictures(folder, found.names, found.chosen, extension, fallback, log);
  const sources = await readPictures(found, files, log);
  return sources.map((source, i) => ({ source, text: pictures[i].text }));
}

interface Found {
  readonly folder: string;
  /** all files, relative to the folder */
  readonly names: readonly string[];
  readonly chosen: readonly string[];
  /** parquet files, where there are no pictures */
  readonly tables: readonly string[];
}

async function findPictures(folder: string): Promise<Found> {
  const names = await listFolder(folder),
    pictures = names.filter((name) => isImageName(basename(name))),
    here = pictures.filter((name) => !name.includes('/')),
    chosen = here.length > 0 ? here : pictures,
    tables = chosen.length > 0 ? [] : names.filter((name) => name.endsWith('.parquet'));
  return { folder, names, chosen, tables };
}

/** @param captions files that were read, too */
async function readPictures(
  { folder, names, chosen, tables }: Found,
  captions: readonly string[],
  log: Logger,
): Promise<Source[]> {
  const sources =
    chosen.length > 0
      ? chosen.map((name) => fileSource(join(folder, name)))
      : (
          await Promise.all(tables.map((name, i) => parquetSources(join(folder, name), i === 0 ? log : undefined)))
        ).flat();
  if (sources.length === 0) throw nothingIn(folder, names);
  const unused = unusedFiles(folder, names, new Set([...chosen, ...tables, ...captions]), {
    pictures: 'subfolders are read only where the folder itself has no pictures',
    captions: 'caption_extension of a training dataset reads them',
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
