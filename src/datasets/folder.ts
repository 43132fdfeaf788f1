/** What lies in a folder of data, and what of it is not used. */
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { UserError } from '../base/errors.js';
import { isImageName, isOtherImageName } from './image/picture-format.js';

/**
 * The files of a folder and its subfolders, through links, as the hub's cache has them.
 * @returns names relative to the folder, with forward slashes, sorted by code unit as Python's sorted() does; nothing hidden
 * @throws UserError when there is no such folder
 */
export async function listFolder(folder: string): Promise<string[]> {
  try {
    return (await walk(folder, '', new Set())).sort();
  } catch (error) {
    throw new UserError(
      `${folder}: cannot be opened as a folder (${(error as NodeJS.ErrnoException).code}); is the path right?`,
      { cause: error },
    );
  }
}

/** @param above real paths of the folders on the way here, so that a link to one of them does not lead round */
async function walk(folder: string, prefix: string, above: ReadonlySet<string>): Promise<string[]> {
  const here = await realpath(folder);
  if (above.has(here)) return [];
  const inside = new Set([...above, here]);
  const found = await Promise.all(
    (await readdir(folder, { withFileTypes: true }))
      .filter(({ name }) => !name.startsWith('.'))
      .map(async (entry) => {
        const path = join(folder, entry.name),
          kind = entry.isSymbolicLink() ? await stat(path).catch(() => entry) : entry;
        return kind.isDirectory() ? walk(path, `${prefix}${entry.name}/`, inside) : [`${prefix}${entry.name}`];
      }),
  );
  return found.flat();
}

/** A picture that has a text. */
export interface DescribedPicture {
  /** relative to the folder of the dataset */
  readonly name: string;
  readonly path: string;
  readonly text: string;
}

/** `a/b.png` without `.png`: what a picture and its caption share. */
export const stem = (name: string): string => name.replace(/\.[^./]*$/, '');

/** "a.png, b.png, c.png, ..." */
export const examples = (names: readonly string[]): string =>
  names.slice(0, 3).join(', ') + (names.length > 3 ? ', ...' : '');

/** How to use what is not used. */
export interface Advice {
  readonly pictures: string;
  readonly captions: string;
}

/** Files that come with data and are none. */
const BESIDE = /^(readme|licen[cs]e|dataset_infos?)\b|^(thumbs\.db|desktop\.ini)$/i;

/**
 * @param names all files of the folder  @param used those that are used, the table among them
 * @returns one line that names what is left out, or undefined
 */
export function unusedFiles(
  folder: string,
  names: readonly string[],
  used: ReadonlySet<string>,
  advice: Advice,
): string | undefined {
  const left = names.filter((name) => !used.has(name) && !BESIDE.test(basename(name)));
  if (left.length === 0) return undefined;
  const stems = new Set(names.filter((name) => isImageName(basename(name))).map(stem));
  const groups = { pictures: [] as string[], unread: [] as string[], captions: [] as string[], others: [] as string[] };
  for (const name of left) {
    if (isImageName(basename(name))) groups.pictures.push(name);
    else if (isOtherImageName(name)) groups.unread.push(name);
    else if (/\.(txt|caption)$/i.test(name) && stems.has(stem(name))) groups.captions.push(name);
    else groups.others.push(name);
  }
  const part = (kind: string, files: readonly string[], fix: string): string[] =>
    files.length === 0 ? [] : [`${count(files.length, kind)} (${examples(files)})${fix}`];
  return [
    `${folder}: ${count(left.length, 'file')} of ${names.length} ${left.length === 1 ? 'is' : 'are'} not used: `,
    [
      ...part('picture', groups.pictures, `: ${advice.pictures}`),
      ...part('picture', groups.unread, ' of a kind that is not read: save as .png or .jpg'),
      ...part('caption', groups.captions, `: ${advice.captions}`),
      ...part('other', groups.others, ''),
    ].join('; '),
  ].join('');
}

export const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;
