/** Places inside this package. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with our package.json, from `dist/src/registry` or wherever this file was compiled to. */
export const packageRoot: string = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new Error('package root: no package.json above the compiled files');
  return findRoot(parent);
}

const SCHEME = 'package:';

/** `package:assets/x` names a file that ships with diffengine; anything else is left as it is. */
export const resolvePackagePath = (path: string): string =>
  path.startsWith(SCHEME) ? join(packageRoot, path.slice(SCHEME.length)) : path;
