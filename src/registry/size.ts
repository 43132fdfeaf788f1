/**
 * `size: 512` at the top level of a config says once what pictures are big, wherever the config takes it with `ref('size')`:
 * transforms, class pictures, previews. It is a value for refs alone, so nothing of it is left when they are resolved.
 */
import { UserError } from '../base/errors.js';
import { isRef } from './ref.js';
import { isTree, type Tree } from './merge.js';

export const SIZE_DESCRIPTION =
  "pixels of a side of the pictures, a multiple of 8: what this config takes with ref('size'), as the built-in ones do for transforms, class pictures and previews";

/**
 * @param config merged, refs in it @param isOwn whether the config itself sets it: one that is inherited may be of no use
 * @throws UserError for a size that is none, or that nothing takes
 */
export function checkSize(config: Tree, isOwn: boolean): void {
  const size = config['size'];
  if (size === undefined || isRef(size)) return;
  const fail = (what: string): never => {
    throw new UserError(`size: ${what}`, { code: 'CONFIG_INVALID' });
  };
  if (!Number.isSafeInteger(size) || (size as number) < 8 || (size as number) % 8 !== 0)
    fail(`${JSON.stringify(size)} is no side of a picture; give pixels, a multiple of 8`);
  const { size: _own, ...places } = config;
  if (isOwn && !takesSize(places))
    fail(
      "nothing in this config takes it; write ref('size') (in YAML: !ref size) where a size stands, or set sizes one by one, such as custom_hooks.preview.height",
    );
}

/** Whether a value of this config is ref('size'). */
export function takesSize(node: unknown): boolean {
  if (isRef(node)) return node.$ref === 'size';
  if (Array.isArray(node)) return node.some(takesSize);
  return isTree(node) && Object.values(node).some(takesSize);
}
