/** Where configs differ, by the paths that --cfg-options takes. */
import { parse } from 'yaml';

export interface Difference {
  /** such as optim_wrapper.optimizer.lr */
  readonly path: string;
  /** per config, as YAML flow; undefined: not set there */
  readonly values: readonly (string | undefined)[];
}

/** @param texts configs as YAML; one that cannot be read has no options */
export function differences(texts: readonly string[]): Difference[] {
  const flat = texts.map((text) => {
    try {
      return leaves(parse(text));
    } catch {
      return new Map<string, string>();
    }
  });
  const paths = [...new Set(flat.flatMap((options) => [...options.keys()]))].sort();
  return paths
    .map((path) => ({ path, values: flat.map((options) => options.get(path)) }))
    .filter(({ values }) => values.some((value) => value !== values[0]));
}

/** Lists are values: configs replace them as a whole. */
function leaves(value: unknown, path = '', found = new Map<string, string>()): Map<string, string> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length > 0)
    for (const [key, inner] of Object.entries(value)) leaves(inner, path === '' ? key : `${path}.${key}`, found);
  else if (path !== '') found.set(path, typeof value === 'string' ? value : JSON.stringify(value));
  return found;
}
