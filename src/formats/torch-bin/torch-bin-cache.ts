/** PyTorch files as safetensors, converted once: backends map weights from files, and a `.bin` may hold them strided. */
import { createHash } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FileError, UserError } from '../../base/errors.js';
import type { Logger } from '../../base/logger.js';
import { defaultCacheDir } from '../../base/cache-dir.js';
import { openTorchBins } from './torch-bin.js';
import type { StateDictOptions } from './torch-state-dict.js';
import { writeAs } from '../safetensors/write-as.js';

/** Part of the key: raise it when conversion changes. */
const VERSION = 1;

/**
 * The safetensors copy of PyTorch files (one, or the shards of one model). Its name depends on their places, sizes and
 * times of change, so changed files are converted again.
 * @returns its path in the cache folder
 */
export async function convertedBin(
  paths: readonly string[],
  { cacheDir = defaultCacheDir(), log, ...options }: { cacheDir?: string; log?: Logger } & StateDictOptions = {},
): Promise<string> {
  const hash = createHash('sha256').update(`${VERSION}\n`);
  for (const path of paths) {
    const real = await realpath(path),
      { size, mtimeMs } = await stat(real);
    hash.update(`${real}\n${size}\n${mtimeMs}\n`);
  }
  const stem = basename(paths[0]).replace(/(-\d+-of-\d+)?\.(?:bin|ckpt|pt|pth)$/, '');
  const out = join(cacheDir, 'weights', `${stem}-${hash.digest('hex').slice(0, 24)}.safetensors`);
  if (await stat(out).catch(() => undefined)) return out;
  log?.info(`${paths[0]}: converting to safetensors, once, into ${out}`);
  await openTorchBins(paths, options)
    .then((bins) => {
      if (bins.leftOut.length > 0)
        log?.warn(
          `${paths[0]}: left out, because it is no tensor of the model: ${bins.leftOut.slice(0, 12).join(', ')}`,
        );
      return writeAs(out, bins);
    })
    .catch((error: unknown) => {
      if (!(error instanceof UserError) || !error.message.startsWith(out)) throw error;
      throw new FileError(
        `${error.message} Set DIFFENGINE_CACHE to another folder, or run "diffengine convert" on the model`,
        { cause: error },
      );
    });
  return out;
}
