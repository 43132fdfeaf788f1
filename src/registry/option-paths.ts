/** Which values a config has places for: what `--cfg-options` can set. */
import { configSchema } from './config-schema.js';
import { isTree, join, type Tree } from './merge.js';
import { allRegistries } from './registry.js';

interface Schema {
  readonly component?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

/** Dotted paths, options of the components that stand there included. Components must be loaded. */
export function optionPaths(config: Tree): string[] {
  return [...new Set(below(configSchema as Schema, config, ''))].sort();
}

function* below(schema: Schema, node: unknown, path: string): Generator<string> {
  for (const branch of schema.anyOf ?? []) yield* below(branch, node, path);
  if (Array.isArray(node) && schema.items)
    for (const [i, item] of node.entries()) yield* below(schema.items, item, join(path, String(i)));
  const options = schema.component === undefined ? schema : optionsOf(schema.component, node);
  const known = Object.entries(options?.properties ?? {});
  if (known.length === 0 && !isTree(options?.additionalProperties)) {
    if (path !== '' && schema.component === undefined) yield path;
    return;
  }
  const inside = isTree(node) ? node : {};
  for (const [key, option] of known) yield* below(option, inside[key], join(path, key));
  const other = options?.additionalProperties;
  if (isTree(other)) for (const key of Object.keys(inside)) yield* below(other as Schema, inside[key], join(path, key));
}

function optionsOf(kind: string, node: unknown): Schema | undefined {
  const registry = allRegistries().find((one) => one.kind === kind);
  return isTree(node) ? (registry?.get(String(node['type']))?.options as Schema | undefined) : undefined;
}
