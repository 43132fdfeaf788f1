/** JSON files that Python wrote. */
import { readFile } from 'node:fs/promises';
import { FileError } from '../base/errors.js';
import type { RawConfig } from '../networks/component-config.js';

/** @throws UserError when the file is missing or is not a JSON object */
export async function readJson(file: string, why: string): Promise<RawConfig> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new FileError(`${file}: ${error.code === 'ENOENT' ? 'missing' : `cannot be read (${error.code})`}; ${why}`, {
      cause: error,
    });
  });
  let value: unknown;
  try {
    // Python writes what JSON lacks, e.g. `"lambda_min_clipped": -Infinity` of DPM-Solver.
    value = JSON.parse(text.replace(/(:\s*)(-?Infinity|NaN)(?=\s*[,}])/g, '$1null'));
  } catch (error) {
    throw new FileError(`${file}: not JSON (${(error as Error).message}); download it again`, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new FileError(`${file}: not a JSON object; download it again`);
  return value as RawConfig;
}
