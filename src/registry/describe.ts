/** What a component's options are, as text. */
import { closest } from 'fastest-levenshtein';
import { UserError } from '../errors.js';
import type { KindName } from './kinds.js';
import { REGISTRIES } from './registries.js';
import type { ComponentClass } from './registry.js';

interface Property {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly component?: string;
  readonly default?: unknown;
  readonly description?: string;
  readonly items?: Property;
  readonly properties?: Readonly<Record<string, Property>>;
  readonly additionalProperties?: Property | boolean;
}

/** Components of that name; a name may stand in two registries. */
export function findComponents(name: string): { kind: KindName; component: ComponentClass }[] {
  return (Object.keys(REGISTRIES) as KindName[]).flatMap((kind) => {
    const component = REGISTRIES[kind].get(name);
    return component ? [{ kind, component }] : [];
  });
}

/** @throws UserError with the nearest names when there is no such component */
export function describeComponent(name: string): string {
  const found = findComponents(name);
  if (found.length === 0) {
    const known = Object.values(REGISTRIES).flatMap((r) => r.names());
    throw new UserError(`${name}: no component or config of that name; did you mean "${closest(name, known)}"?`);
  }
  return found.map(({ kind, component: { options } }) => {
    const required = (options as { required?: readonly string[] }).required ?? [];
    const lines = [...optionLines((options as Property).properties ?? {}, required, '  ')];
    return `${name} (${kind})\n${options.description}\n${lines.length > 0 ? `\noptions:\n${lines.join('\n')}` : '\nno options'}`;
  }).join('\n\n');
}

function* optionLines(properties: Readonly<Record<string, Property>>, required: readonly string[], indent: string): Generator<string> {
  const width = Math.max(...Object.keys(properties).map((k) => k.length));
  for (const [key, property] of Object.entries(properties)) {
    const fallback = required.includes(key) ? 'required' : 'default' in property ? `default ${JSON.stringify(property.default)}` : 'optional';
    yield `${indent}${key.padEnd(width)}  ${typeText(property)}, ${fallback}\n${indent}${' '.repeat(width)}  ${property.description ?? ''}`;
    if (property.properties) yield* optionLines(property.properties, [], `${indent}  `);
  }
}

function typeText(property: Property): string {
  if (property.component) return `a component of ${property.component}`;
  if (property.enum) return property.enum.map((v) => JSON.stringify(v)).join(' | ');
  if (property.const !== undefined) return JSON.stringify(property.const);
  const name = [property.type ?? 'any'].flat().join(' | ');
  return property.items ? `${name} of ${typeText(property.items)}` : name;
}
