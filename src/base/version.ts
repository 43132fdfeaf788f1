import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from './package-path.js';

/** Of this package. */
export const packageVersion: string = (
  JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
).version;
