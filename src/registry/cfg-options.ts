/** `--cfg-options a.b=c`: the last word on any value. */
import { UserError } from '../base/errors.js';
import { checkType, getPath, merge, type Origins, type Tree } from './merge.js';
import { optionValue } from './option-value.js';

/** Values by path: texts `path.to.key=value` of a command line; or an object, whose values are taken as they are. */
export type CfgOptions = readonly string[] | Readonly<Record<string, unknown>>;

interface Setting {
  readonly path: string;
  readonly value: unknown;
  /** in errors */
  readonly where: string;
}

/**
 * @param options of a text, the value is text as it stands where the option takes text, else YAML. What options take is
 * known when their components are loaded.
 * @throws UserError for a text without `=` or with broken YAML, and for a path that leads nowhere
 */
export function applyCfgOptions(config: Tree, options: CfgOptions, origins: Origins): Tree {
  const given = Array.isArray(options) ? (options as readonly string[]) : Object.entries(options);
  return given.reduce<Tree>((tree, option) => {
    const { path, value, where } = typeof option === 'string' ? fromText(option, tree) : fromEntry(option);
    return set(tree, keysOf(path, where), value, where, origins, '') as Tree;
  }, config);
}

function fromText(option: string, tree: Tree): Setting {
  const at = option.indexOf('=');
  const where = `--cfg-options ${option.length > MAX_SHOWN ? `${option.slice(0, MAX_SHOWN)}...` : option}`;
  if (at < 1) throw new UserError(`${where}: no "="; write path.to.key=value`, { code: 'CONFIG_INVALID' });
  const path = option.slice(0, at);
  const value = optionValue(option.slice(at + 1), keysOf(path, where), tree, getPath(tree, path), where);
  return { path, value, where };
}

const fromEntry = ([path, value]: [string, unknown]): Setting => ({
  path,
  value,
  where: `options[${JSON.stringify(path)}]`,
});

function keysOf(path: string, where: string): string[] {
  const keys = path.split('.');
  if (keys.includes(''))
    throw new UserError(`${where}: "${path}" has an empty part; write path.to.key=value`, { code: 'CONFIG_INVALID' });
  if (keys.includes('__proto__'))
    throw new UserError(`${where}: __proto__: not a name that an option can have`, { code: 'CONFIG_INVALID' });
  return keys;
}

/** Signs of an option that errors repeat. */
const MAX_SHOWN = 200;

function set(
  node: unknown,
  [key, ...rest]: readonly string[],
  value: unknown,
  where: string,
  origins: Origins,
  path: string,
): unknown {
  const below = path === '' ? key : `${path}.${key}`;
  if (Array.isArray(node)) {
    const index = Number(key);
    if (!Number.isInteger(index) || index < 0 || index >= node.length)
      throw new UserError(`${where}: "${key}" is not an item of a list of ${node.length}; items are numbered from 0`, {
        code: 'CONFIG_INVALID',
      });
    origins.set(path, '--cfg-options');
    return node.map((item, i) =>
      i === index ? (rest.length === 0 ? value : set(item, rest, value, where, origins, below)) : item,
    );
  }
  const tree = typeof node === 'object' && node !== null ? (node as Tree) : {};
  if (key === 'type' && rest.length === 0) checkType(tree, { type: value }, path, where);
  if (rest.length === 0) return merge(tree, { [key]: value }, '--cfg-options', origins, path);
  return { ...tree, [key]: set(tree[key], rest, value, where, origins, below) };
}
