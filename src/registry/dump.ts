import { stringify } from 'yaml';
import type { Tree } from './merge.js';

/** A merged config as YAML that loads back to equal values. */
export const dumpConfig = (config: Tree): string => stringify(config, { lineWidth: 0, aliasDuplicateObjects: false });
