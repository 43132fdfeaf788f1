/** How configs combine: objects merge, lists and scalars replace, null removes, `_delete_` replaces an object whole. */
import { UserError } from '../base/errors.js';

export type Tree = { readonly [key: string]: unknown };
/** Leaf path (dotted) -> where its value was set. */
export type Origins = Map<string, string>;

export const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** What merges key by key. A ref is a value: one thing replaces another. So is what a class made, which a config cannot hold. */
export const isBranch = (value: unknown): value is Tree => isTree(value) && isPlainObject(value) && !('$ref' in value);
/** Also one of another realm, as modules under a loader may make. */
export function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
export const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);

/**
 * `child` over `parent`; neither is changed.
 * @param origins kept up to date for every leaf @param where the child comes from, for errors and origins
 * @throws UserError when a component changes its type but would keep the old one's options
 */
export function merge(parent: Tree, child: Tree, where = 'config', origins: Origins = new Map(), path = ''): Tree {
  const out: Record<string, unknown> = { ...parent };
  for (const [key, value] of Object.entries(child)) {
    if (key === '_delete_' || key === '_base_') continue;
    const at = join(path, key),
      before = out[key];
    if (key === '__proto__') throw new UserError(`${where}: ${at}: not a name that an option can have; leave it out`);
    if (value === undefined) continue;
    if (value === null) {
      delete out[key];
      forget(origins, at);
    } else if (isBranch(value)) {
      const replaces = value['_delete_'] === true || !isBranch(before);
      if (!replaces) checkType(before, value, at, where);
      if (replaces) forget(origins, at);
      out[key] = merge(replaces ? {} : before, value, where, origins, at);
      if (Object.keys(out[key] as Tree).length === 0)
        origins.set(at, where); // an empty object is a leaf
      else origins.delete(at);
    } else {
      forget(origins, at);
      out[key] = value;
      origins.set(at, where);
    }
  }
  return out;
}

/** @throws UserError when a component of another type would keep options of the old one */
export function checkType(before: Tree, after: Tree, path: string, where: string): void {
  const [old, now] = [before['type'], after['type']];
  if (now === undefined || old === undefined || now === old || Object.keys(before).length === 1) return;
  throw new UserError(
    `${where}: ${path}.type changes from "${String(old)}" to "${String(now)}", but the other options of "${String(old)}" would stay; add _delete_: true to ${path} and list the options of "${String(now)}"`,
    { code: 'CONFIG_INVALID' },
  );
}

function forget(origins: Origins, path: string): void {
  for (const known of [...origins.keys()]) if (known === path || known.startsWith(`${path}.`)) origins.delete(known);
}

/** Every leaf (scalar, list or empty object) with its dotted path. */
export function* leaves(tree: Tree, path = ''): Generator<[string, unknown]> {
  for (const [key, value] of Object.entries(tree)) {
    if (isBranch(value) && Object.keys(value).length > 0) yield* leaves(value, join(path, key));
    else yield [join(path, key), value];
  }
}

/** The value at a dotted path; list items by index. */
export function getPath(tree: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (at, key) => (typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[key] : undefined),
      tree,
    );
}
