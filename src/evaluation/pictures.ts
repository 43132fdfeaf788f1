/** Pictures to compare with, and prompts to draw. */
import { readFile } from 'node:fs/promises';
import { type DatasetServices, DATASETS } from '../datasets/dataset.js';
import { image } from '../datasets/image/picture-file.js';
import { folderSources } from '../datasets/sources.js';
import { readTable } from '../datasets/table.js';
import { UserError } from '../base/errors.js';
import { Rng } from '../base/rng.js';
import { resolvePackagePath } from '../base/package-path.js';
import { decodeText } from '../base/text-file.js';
import type { Build } from '../registry/tokens.js';
import { floats, type HostTensor } from '../tensor/host.js';

/** Pictures that are loaded as they are looked at. */
export interface PictureSet {
  readonly length: number;
  /** uint8 [H, W, 3] */
  picture(index: number): Promise<HostTensor>;
  /** undefined for a folder of pictures alone */
  text?(index: number): Promise<string>;
}

/** The part of a dataset that is looked at here. */
export interface Samples {
  readonly length: number;
  get(index: number, stream: ReturnType<Rng['stream']>): Promise<{ readonly img: HostTensor; readonly text: string }>;
}

/**
 * @param source a folder or id of the hub, or a dataset's config
 * @param where the option, for errors
 */
export async function openPictures(
  source: string | object,
  where: string,
  build: Build,
  services: DatasetServices,
): Promise<PictureSet> {
  const set = await (
    typeof source === 'string' ? fromFolder(source, services) : fromConfig(source, build, services)
  ).catch((error: unknown) => {
    throw error instanceof UserError ? new UserError(`${where}: ${error.message}`, { cause: error }) : error;
  });
  return set;
}

async function fromFolder(folder: string, services: DatasetServices): Promise<PictureSet> {
  const sources = await folderSources(await services.resolveDataset(folder), services.logger);
  return { length: sources.length, picture: (index) => sources[index].load() };
}

async function fromConfig(config: object, build: Build, services: DatasetServices): Promise<PictureSet> {
  const dataset = build(DATASETS, config);
  await dataset.prepare?.(services);
  return fromSamples(dataset);
}

/** What the model would be trained on, as pictures again. */
export function fromSamples(samples: Samples): PictureSet {
  const get = (index: number): ReturnType<Samples['get']> => samples.get(index, new Rng(0).stream('evaluation', index));
  return {
    length: samples.length,
    picture: async (index) => toPicture((await get(index)).img),
    text: async (index) => (await get(index)).text,
  };
}

/** @param img float32 [3, H, W] in [-1, 1] @returns uint8 [H, W, 3]; exact for pictures that were uint8 */
function toPicture(img: HostTensor): HostTensor {
  const [, H, W] = img.shape,
    values = floats(img),
    data = new Uint8Array(H * W * 3);
  for (let i = 0; i < H * W; i++)
    for (let c = 0; c < 3; c++)
      data[i * 3 + c] = Math.min(255, Math.max(0, Math.round((values[c * H * W + i] + 1) * 127.5)));
  return image(data, H, W);
}

/** Columns of a table that hold prompts, the first that is there. */
const COLUMNS = ['prompt', 'text', 'caption'];

/** Whether an option that takes one prompt names a file of prompts instead. */
export const isPromptFile = (prompt: unknown): prompt is string =>
  typeof prompt === 'string' && /^\S+\.(txt|csv|tsv|jsonl)$/i.test(prompt);

/** @param given a file, or the prompts themselves @throws UserError for a file that is missing, has no prompts or no such column */
export async function readPrompts(given: string | readonly string[]): Promise<readonly string[]> {
  if (typeof given !== 'string') return given;
  const path = resolvePackagePath(given);
  if (!/\.(txt|csv|tsv|jsonl)$/i.test(path))
    throw new UserError(
      `prompts: ${path}: neither .txt nor .csv nor .jsonl; give a file with a prompt per line, or a table with a column "prompt"`,
    );
  try {
    const prompts = (/\.txt$/i.test(path) ? await lines(path) : await fromTable(path))
      .map((line) => line.trim())
      .filter((line) => line !== '');
    if (prompts.length === 0) throw new UserError(`${path}: no prompts in it; write one per line`);
    return prompts;
  } catch (error) {
    throw error instanceof UserError ? new UserError(`prompts: ${error.message}`, { cause: error }) : error;
  }
}

async function lines(path: string): Promise<string[]> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${path}: cannot be read (${error.code}); is the path right?`, { cause: error });
  });
  return decodeText(bytes, path).split(/\r\n|\n|\r/);
}

async function fromTable(path: string): Promise<string[]> {
  const rows = await readTable(path, 'is the path right?');
  if (rows.length === 0) return [];
  const column = COLUMNS.find((name) => name in rows[0].values);
  if (column === undefined)
    throw new UserError(`${path}: no column ${COLUMNS.join(', ')}; it has ${Object.keys(rows[0].values).join(', ')}`);
  return rows.map(({ values, where }) => {
    const prompt = values[column];
    if (typeof prompt !== 'string')
      throw new UserError(`${where}: "${column}" is no text but ${JSON.stringify(prompt)}; write a prompt`);
    return prompt;
  });
}
