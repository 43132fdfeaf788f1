/** PyTorch files as safetensors, converted once: backends map weights from files, and a `.bin` may hold them strided. */
import { createHash } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { UserError } from '../../errors.js';
import type { Logger } from '../../registry/tokens.js';
import { defaultCacheDir } from './cache-dir.js';
import { fromFloat32, isFloat, toFloat32, type FloatType } from './convert.js';
import { writeSafetensorsStream } from './safetensors.js';
import { openTorchBins } from './torch-bin.js';

/** Part of the key: raise it when conversion changes. */
const VERSION = 1;

/**
 * The safetensors copy of PyTorch files (one, or the shards of one model). Its name depends on their places, sizes and
 * times of change, so changed files are converted again.
 * @returns its path in the cache folder
 */
export async function convertedBin(paths: readonly string[], { cacheDir = defaultCacheDir(), log }: { cacheDir?: string; log?: Logger } = {}): Promise<string> {
  const hash = createHash('sha256').update(`${VERSION}\n`);
  for (const path of paths) {
    const real = await realpath(path), { size, mtimeMs } = await stat(real);
    hash.update(`${real}\n${size}\n${mtimeMs}\n`);
  }
  const stem = basename(paths[0]).replace(/(-\d+-of-\d+)?\.bin$/, '');
  const out = join(cacheDir, 'weights', `${stem}-${hash.digest('hex').slice(0, 24)}.safetensors`);
  if (await stat(out).catch(() => undefined)) return out;
  log?.info(`${paths[0]}: converting to safetensors, once, into ${out}`);
  await convertBins(paths, out).catch((error: unknown) => {
    if (!(error instanceof UserError) || !error.message.startsWith(out)) throw error;
    throw new UserError(`${error.message} Set DIFFENGINE_CACHE to another folder, or run "diffengine convert" on the model`, { cause: error });
  });
  return out;
}

/** Writes the tensors of PyTorch files as one safetensors file; floats as `dtype` when given. */
export async function convertBins(paths: readonly string[], out: string, dtype?: FloatType): Promise<void> {
  const bins = await openTorchBins(paths);
  const specs = bins.specs.map((spec) => ({ ...spec, dtype: dtype && isFloat(spec.dtype) ? dtype : spec.dtype }));
  await writeSafetensorsStream(out, specs, async (spec) => {
    const tensor = await bins.read(spec.name);
    return tensor.dtype === spec.dtype ? tensor : fromFloat32(toFloat32(tensor), spec.dtype);
  }, { format: 'pt' });
}
