/** Components and configs as text, for `diffengine describe`. */
import type { KindName } from './kinds.js';
import { leaves, type Origins, type Tree } from './merge.js';
import { allRegistries } from './registry.js';
import type { OptionsSchema } from './schema.js';

interface Property {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly component?: string;
  readonly default?: unknown;
  readonly description?: string;
  readonly items?: Property;
  readonly anyOf?: readonly Property[];
  readonly properties?: Readonly<Record<string, Property>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Property | boolean;
}

/** What a component is called in a config, and what it may be told there. */
export interface ComponentDescription {
  readonly kind: KindName;
  readonly name: string;
  /** JSON schema of its options; descriptions, defaults and limits are in it */
  readonly options: OptionsSchema;
}

/** Components by kind: those of one name, which may stand in two registries, or all. */
export function findComponents(wanted?: string): ComponentDescription[] {
  return allRegistries().flatMap((registry) =>
    registry
      .names()
      .filter((name) => wanted === undefined || name === wanted)
      .map((name) => ({ kind: registry.kind, name, options: registry.get(name)!.options })),
  );
}

/** Names of all components, of every kind. */
export const componentNames = (): string[] => allRegistries().flatMap((registry) => registry.names());

/** Every component by kind, with its purpose. */
export function componentList(): string {
  const width = Math.max(...componentNames().map((name) => name.length));
  return allRegistries()
    .filter((registry) => registry.names().length > 0)
    .map((registry) =>
      [
        registry.kind,
        ...registry.names().map((name) => `  ${name.padEnd(width)}  ${registry.get(name)?.options.description}`),
      ].join('\n'),
    )
    .join('\n\n');
}

/** Name, purpose, and a table of the options: type, default, meaning. */
export function componentText({ name, kind, options }: ComponentDescription): string {
  const { properties = {}, required = [] } = options as Property;
  const lines = [...optionLines(properties, required, '  ')];
  return `${name} (${kind})\n${options.description}\n${lines.length > 0 ? `\noptions:\n${lines.join('\n')}` : '\nno options'}`;
}

/** Each value of a config with the file, or `--cfg-options`, that set it. */
export function explainText(config: Tree, origins: Origins): string {
  const rows = [...leaves(config)].map(([path, value]) => [
    `${path} = ${JSON.stringify(value)}`,
    originOf(origins, path),
  ]);
  const width = Math.min(MAX_COLUMN, Math.max(...rows.map(([left]) => left.length)));
  return rows.map(([left, origin]) => `${left.padEnd(width)}  # ${origin}`).join('\n');
}

const MAX_COLUMN = 100;

/** A value that came with a ref has the origin of the ref. */
function originOf(origins: Origins, path: string): string {
  const origin = origins.get(path),
    end = path.lastIndexOf('.');
  return origin ?? (end < 0 ? 'default' : originOf(origins, path.slice(0, end)));
}

function* optionLines(
  properties: Readonly<Record<string, Property>>,
  required: readonly string[],
  indent: string,
): Generator<string> {
  const width = Math.max(...Object.keys(properties).map((k) => k.length));
  for (const [key, property] of Object.entries(properties)) {
    const fallback = required.includes(key)
      ? 'required'
      : 'default' in property
        ? `default ${JSON.stringify(property.default)}`
        : 'optional';
    yield `${indent}${key.padEnd(width)}  ${typeText(property)}, ${fallback}\n${indent}${' '.repeat(width)}  ${property.description ?? ''}`;
    if (property.properties) yield* optionLines(property.properties, property.required ?? [], `${indent}  `);
  }
}

function typeText(property: Property): string {
  if (property.component) return `component of ${property.component}`;
  if (property.anyOf) return property.anyOf.map(typeText).join(' | ');
  if (property.enum) return property.enum.map((v) => JSON.stringify(v)).join(' | ');
  if (property.const !== undefined) return JSON.stringify(property.const);
  return [property.type ?? 'any']
    .flat()
    .map((type) => (type === 'array' && property.items ? `list of ${typeText(property.items)}` : type))
    .join(' | ');
}
