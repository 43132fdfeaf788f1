/** A config is data: it is written to the work dir as YAML and read back. */
import { UserError } from '../base/errors.js';
import { isPlainObject, join, type Origins, type Tree } from './merge.js';

/** @throws UserError for the first function, class instance or other thing that YAML cannot hold */
export function requirePlain(config: Tree, origins: Origins): void {
  const visit = (value: unknown, path: string, leaf: string): void => {
    if (Array.isArray(value)) value.forEach((item, i) => visit(item, join(path, String(i)), leaf));
    else if (isPlainObject(value))
      for (const [key, item] of Object.entries(value)) visit(item, join(path, key), join(path, key));
    else if (!isScalar(value))
      throw new UserError(
        `${path}: ${nameOf(value)} (set by ${origins.get(leaf) ?? 'the config'}); a config holds plain values only: texts, numbers, true, false, null, lists and objects`,
        { code: 'CONFIG_INVALID' },
      );
  };
  visit(config, '', '');
}

const isScalar = (value: unknown): boolean => value === null || ['string', 'number', 'boolean'].includes(typeof value);

function nameOf(value: unknown): string {
  if (typeof value === 'function') return `a function${value.name === '' ? '' : ` "${value.name}"`}`;
  return typeof value === 'object' && value !== null
    ? `a ${value.constructor.name}`
    : `${typeof value} ${String(value)}`;
}
