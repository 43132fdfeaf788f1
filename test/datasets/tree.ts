/** Folders of data for tests, and a logger that keeps what it is told. */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Rng } from '../../src/base/rng.js';
import type { Dataset, DatasetServices, Sample } from '../../src/datasets/dataset.js';
import { image, writePng } from '../../src/datasets/image/picture-file.js';
import type { HostTensor } from '../../src/tensor/host.js';

/** A folder with these files; a picture is named by its grey. */
export async function tree(files: Readonly<Record<string, string | number>>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'folder-'));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    if (typeof content === 'string') await writeFile(join(dir, name), content);
    else await writePng(join(dir, name), image(new Uint8Array(2 * 2 * 3).fill(content), 2, 2));
  }
  return dir;
}

export function services(more: Partial<DatasetServices> = {}): DatasetServices & { lines: string[] } {
  const lines: string[] = [];
  const logger = {
    info: (line: string) => void lines.push(line),
    warn: (line: string) => void lines.push(`warning: ${line}`),
    debug: () => {},
  };
  return { logger, cacheDir: '', seed: 0, resolveDataset: async (id) => id, lines, ...more };
}

/** A round of a dataset. */
export const samplesOf = (set: Dataset): Promise<Sample[]> =>
  Promise.all(Array.from({ length: set.length }, (_, i) => set.get(i, new Rng(0).stream('test', i))));

/** The grey of a picture of `tree`. */
export const greyOf = ({ data }: HostTensor): number => Math.round(Number(data[0]) * 255);
