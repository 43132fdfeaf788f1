/** Pictures that a run has left below `vis/`: what VisualizationHook drew, and some of what it was trained on. */
import { open, readdir, stat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { pngSize } from '../datasets/image/png-size.js';
import { isPromptFile } from '../evaluation/pictures.js';
import type { Tree } from '../registry/merge.js';
import { hookOf, readTree } from './work-dir-files.js';
import type { Picture, Preview } from './run-view.js';

/** In the work dir. */
export const PICTURES = 'vis';
/** In `vis/`: copies of training pictures. */
export const TRAINING = 'training';
/** Beside the pictures: what each shows. */
export const CAPTIONS_FILE = 'captions.json';
/** As far as IHDR reaches. */
const PNG_HEADER = 33;

/** A work dir's pictures; a folder is read again only when it has changed. */
export class RunPictures {
  private readonly known = new Map<string, { readonly key: string; readonly pictures: readonly Picture[] }>();

  constructor(private readonly workDir: string) {}

  /** In the order of training. @param config says what was drawn where the run did not */
  async previews(config: Tree): Promise<Preview[]> {
    const names = await readdir(join(this.workDir, PICTURES)).catch(() => []);
    const found = names.flatMap((name) => {
      const iter = name === 'before' ? -1 : Number(/^step(\d+)$/.exec(name)?.[1] ?? NaN);
      return Number.isNaN(iter) ? [] : [{ name, iter }];
    });
    const previews = await Promise.all(
      found.map(async ({ name, iter }) => ({ iter, pictures: await this.folder(name, promptsOf(config)) })),
    );
    return previews.filter(({ pictures }) => pictures.length > 0).sort((a, b) => a.iter - b.iter);
  }

  training(): Promise<readonly Picture[]> {
    return this.folder(TRAINING, []);
  }

  private async folder(name: string, captions: readonly string[]): Promise<readonly Picture[]> {
    const path = join(this.workDir, PICTURES, name);
    const info = await stat(path).catch(() => undefined),
      key = `${info?.mtimeMs} ${captions.join('\n')}`,
      known = this.known.get(name);
    if (!info?.isDirectory()) return [];
    if (known?.key === key) return known.pictures;
    const pictures = await readFolder(path, posix.join(PICTURES, name), captions);
    this.known.set(name, { key, pictures });
    return pictures;
  }
}

async function readFolder(path: string, src: string, prompts: readonly string[]): Promise<Picture[]> {
  const names = (await readdir(path)).filter((name) => /^\d+\.png$/.test(name)),
    noted = (await readTree(join(path, CAPTIONS_FILE)))['captions'],
    captions = Array.isArray(noted) ? noted.map(String) : prompts;
  const pictures = await Promise.all(
    names
      .map((name) => Number.parseInt(name))
      .sort((a, b) => a - b)
      .map(async (k) => {
        const size = await sizeOf(join(path, `${k}.png`));
        return size ? [{ src: `${src}/${k}.png`, caption: captions[k] ?? '', ...size }] : [];
      }),
  );
  return pictures.flat();
}

async function sizeOf(path: string): Promise<{ width: number; height: number } | undefined> {
  const file = await open(path, 'r').catch(() => undefined);
  if (!file) return undefined;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(PNG_HEADER), 0, PNG_HEADER, 0);
    return bytesRead === PNG_HEADER ? pngSize(buffer) : undefined;
  } finally {
    await file.close();
  }
}

/** What VisualizationHook was asked for; nothing where a file has the prompts. */
function promptsOf(config: Tree): string[] {
  const prompt = hookOf(config, 'VisualizationHook')?.['prompt'];
  return isPromptFile(prompt) || prompt === undefined ? [] : [prompt].flat().map(String);
}
