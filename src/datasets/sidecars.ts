/** Captions that lie beside their pictures: `dog.png` and `dog.txt`, as kohya's scripts and taggers write them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { decodeText } from '../base/text-file.js';
import { count, examples, stem, type DescribedPicture } from './folder.js';

export interface Sidecars {
  readonly pictures: readonly DescribedPicture[];
  /** caption files that were read */
  readonly files: readonly string[];
}

/** What describes a picture without a caption file. */
export interface Fallback {
  /** undefined: nothing does, which is an error */
  text(picture: string): string | undefined;
  /** for the warning: "the words of the folder" */
  readonly said: string;
  /** whether it may describe every picture; if not, an extension that no caption has is an error */
  readonly forAll: boolean;
}

/**
 * Pictures, each with the first line of its caption file, as kohya's scripts take it.
 * @param names all files of the folder  @param images those that are wanted, pictures all
 * @param suffix of caption files: ".txt"
 * @throws UserError when there are no pictures, or no captions where some are needed, and naming the pictures that have no text at all
 */
export async function sidecarPictures(
  folder: string,
  names: readonly string[],
  images: readonly string[],
  suffix: string,
  fallback: Fallback,
  log: Logger,
): Promise<Sidecars> {
  const byStem = new Map(
    names.filter((name) => name.toLowerCase().endsWith(suffix.toLowerCase())).map((name) => [stem(name), name]),
  );
  if (images.length === 0) throw new UserError(`${folder}: no pictures in it; put them beside their ${suffix} files`);
  if (!fallback.forAll && !images.some((name) => byStem.has(stem(name))))
    throw new UserError(
      `${folder}: caption_extension: no ${suffix} file beside a picture; write ${stem(images[0])}${suffix}, or remove caption_extension`,
    );

  const pictures: DescribedPicture[] = [],
    files = new Set<string>(),
    [without, replaced, empty, longer]: string[][] = [[], [], [], []];
  const textOf = async (picture: string): Promise<string | undefined> => {
    const file = byStem.get(stem(picture));
    if (file === undefined) {
      const words = fallback.text(picture);
      (words === undefined ? without : replaced).push(picture);
      return words;
    }
    files.add(file);
    const path = join(folder, file),
      [line, ...rest] = decodeText(await readFile(path), path)
        .trim()
        .split(/\r\n|\n|\r/);
    if (line === '') empty.push(file);
    if (rest.length > 0) longer.push(file);
    return line.trim();
  };
  for (const name of images) pictures.push({ name, path: join(folder, name), text: (await textOf(name)) ?? '' });

  if (without.length > 0)
    throw new UserError(
      `${folder}: ${without.length} of ${count(images.length, 'picture')} without a ${suffix} file (${examples(without)}); write ${stem(without[0])}${suffix}, or move the picture away`,
    );
  const note = (list: readonly string[], noun: string, what: string): void => {
    if (list.length > 0) log.warn(`${folder}: ${count(list.length, noun)} ${what} (${examples(list)})`);
  };
  note(replaced, 'picture', `without a ${suffix} file, described by ${fallback.said}`);
  note(empty, 'caption', 'without text');
  note(longer, 'caption', 'of several lines, of which the first is used');
  return { pictures, files: [...files] };
}
