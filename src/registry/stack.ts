/** Which files an error, or a call, came through. */
import { fileURLToPath } from 'node:url';

/**
 * Paths of the files of a stack, innermost first; those of Node are left out.
 * Frames hold a URL, or a path where source maps are on: `at f (file:///a/b.js:1:2)`, `at /a/b.ts:1:2`.
 */
export function stackFiles(stack: string): string[] {
  const frames = stack.matchAll(/^\s+at (?:.*\()?((?:file:\/\/|\/|[A-Za-z]:\\).*?):\d+:\d+\)?$/gm);
  return [...frames].map(([, place]) => (place.startsWith('file:') ? fileURLToPath(place) : place));
}
