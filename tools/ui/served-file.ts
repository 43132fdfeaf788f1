/** A file below a folder, by a path that somebody else wrote. */
import { readFile, realpath, stat } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';

/** Types by ending; files of others are not served. */
export type Types = Readonly<Record<string, string>>;

export const PICTURE_TYPES: Types = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
};

export interface ServedFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string;
}

/**
 * @param folder nothing outside of it is read, by whatever link
 * @param encoded path below it as in an URL @param types of what is served
 * @returns undefined for what is not there or not to be served: who asks learns no difference
 */
export async function servedFile(folder: string, encoded: string, types: Types): Promise<ServedFile | undefined> {
  const path = decoded(encoded);
  if (path === undefined || !path.split('/').every(isPlainName)) return undefined;
  const root = await realpath(folder).catch(() => undefined),
    real = await realpath(join(folder, path)).catch(() => undefined);
  if (root === undefined || !real?.startsWith(root.endsWith(sep) ? root : root + sep)) return undefined;
  const type = types[extname(real).toLowerCase()];
  if (type === undefined || !(await stat(real)).isFile()) return undefined;
  return { bytes: new Uint8Array(await readFile(real)), type };
}

/** No way up, no other separators, nothing hidden. */
const isPlainName = (name: string): boolean => name !== '' && !name.startsWith('.') && !/[\\:\0]/.test(name);

/** Once: what is a slash or a dot after a second time is part of a name. */
function decoded(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}
