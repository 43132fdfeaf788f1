/** `--cfg-options a.b=c`: the last word on any value. */
import { parse } from 'yaml';
import { UserError } from '../base/errors.js';
import { checkType, merge, type Origins, type Tree } from './merge.js';

/** @param options each `path.to.key=value`, the value in YAML @throws UserError for one without `=` or with broken YAML */
export function applyCfgOptions(config: Tree, options: readonly string[], origins: Origins): Tree {
  return options.reduce((tree, option) => {
    const at = option.indexOf('=');
    const where = `--cfg-options ${option}`;
    if (at < 1) throw new UserError(`${where}: no "="; write path.to.key=value`);
    return set(
      tree,
      option.slice(0, at).split('.'),
      parseValue(option.slice(at + 1), where),
      where,
      origins,
      '',
    ) as Tree;
  }, config);
}

function parseValue(text: string, where: string): unknown {
  try {
    return parse(text) as unknown;
  } catch (error) {
    throw new UserError(`${where}: the value is not YAML (${(error as Error).message.split('\n')[0]}); quote it`, {
      cause: error,
    });
  }
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
