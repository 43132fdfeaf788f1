/** `--cfg-options a.b=c`: the last word on any value. */
import { UserError } from '../base/errors.js';
import { checkType, getPath, merge, type Origins, type Tree } from './merge.js';
import { optionValue } from './option-value.js';

/**
 * @param options each `path.to.key=value`: text as it stands where the option takes text, else YAML. What options take is
 * known when their components are loaded.
 * @throws UserError for one without `=` or with broken YAML
 */
export function applyCfgOptions(config: Tree, options: readonly string[], origins: Origins): Tree {
  return options.reduce((tree, option) => {
    const at = option.indexOf('=');
    const where = `--cfg-options ${option}`;
    if (at < 1) throw new UserError(`${where}: no "="; write path.to.key=value`);
    const path = option.slice(0, at),
      keys = path.split('.');
    if (keys.includes('')) throw new UserError(`${where}: "${path}" has an empty part; write path.to.key=value`);
    if (keys.includes('__proto__')) throw new UserError(`${where}: __proto__: not a name that an option can have`);
    const value = optionValue(option.slice(at + 1), keys, tree, getPath(tree, path), where);
    return set(tree, keys, value, where, origins, '') as Tree;
  }, config);
}

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
      throw new UserError(`${where}: "${key}" is not an item of a list of ${node.length}; items are numbered from 0`);
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
