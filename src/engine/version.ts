import { existsSync, readFileSync } from 'node:fs';

/** Of this package, from the nearest package.json above the compiled file. */
export const packageVersion: string = readVersion(new URL('.', import.meta.url));

function readVersion(folder: URL): string {
  const file = new URL('package.json', folder);
  if (!existsSync(file)) return readVersion(new URL('..', folder));
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
