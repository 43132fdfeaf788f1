/** The JSON of a request. */
import type { Context } from 'hono';
import { isTree, type Tree } from '../../src/registry/merge.js';
import { Problem } from './problem.js';

/** @returns an empty object for an empty body @throws Problem for anything but an object */
export async function bodyOf(c: Context): Promise<Tree> {
  const text = await c.req.text();
  if (text === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    if (isTree(value)) return value;
  } catch {
    // said below
  }
  throw new Problem(400, 'the body of the request is no JSON object');
}
