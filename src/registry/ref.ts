/** A value that repeats another one of the same config, looked up when everything is merged. */
import { UserError } from '../base/errors.js';
import { getPath, isTree, join, type Tree } from './merge.js';

export interface Ref {
  readonly $ref: string;
}

/** `ref('model.model')`: whatever `model.model` is in the merged config, after `--cfg-options`. */
export const ref = (path: string): Ref => ({ $ref: path });
export const isRef = (value: unknown): value is Ref =>
  isTree(value) && typeof value['$ref'] === 'string' && Object.keys(value).length === 1;

/** Where refs stand, as far as lists, and what they point at. */
export function refsIn(config: Tree): Map<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  const walk = (node: unknown, path: string, inList: boolean): void => {
    if (isRef(node)) found.set(path, (found.get(path) ?? new Set()).add(node.$ref));
    else if (Array.isArray(node)) for (const item of node) walk(item, path, true);
    else if (isTree(node))
      for (const [key, value] of Object.entries(node)) walk(value, inList ? path : join(path, key), inList);
  };
  walk(config, '', false);
  return found;
}

/** A copy without refs. @throws UserError for one that points nowhere or in a circle */
export function resolveRefs(config: Tree): Tree {
  const resolve = (value: unknown, path: string, seen: readonly string[]): unknown => {
    if (isRef(value)) {
      const target = value.$ref;
      if (seen.includes(target))
        throw new UserError(
          `${path}: ref("${target}") goes in a circle: ${[...seen, target].join(' -> ')}; give one of them a value`,
          { code: 'CONFIG_INVALID' },
        );
      const found = getPath(config, target);
      if (found === undefined)
        throw new UserError(`${path}: ref("${target}") points at nothing; check the path, or set ${target}`, {
          code: 'CONFIG_INVALID',
        });
      return resolve(found, path, [...seen, target]);
    }
    if (Array.isArray(value)) return value.map((v, i) => resolve(v, `${path}.${i}`, seen));
    return isTree(value)
      ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v, join(path, k), seen)]))
      : value;
  };
  return resolve(config, '', []) as Tree;
}
