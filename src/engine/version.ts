import { readFileSync } from 'node:fs';

/** Of this package, from its package.json: three folders up from dist/src/engine. */
export const packageVersion: string = (JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
