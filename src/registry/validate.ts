/** Checks a config, and every component in it, against the schemas: all mistakes at once, with the nearest valid name. */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { closest, distance } from 'fastest-levenshtein';
import { UserError } from '../errors.js';
import { configSchema } from './config-schema.js';
import { getPath, isTree, join, type Tree } from './merge.js';
import type { KindName } from './kinds.js';
import type { Registry } from './registry.js';
import { REGISTRIES } from './registries.js';

/** The parts of a JSON schema that lead to nested components. */
interface SchemaNode {
  readonly component?: KindName;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly anyOf?: readonly SchemaNode[];
}

const ajv = new Ajv({ allErrors: true, useDefaults: true, allowUnionTypes: true, strict: true, strictRequired: false, verbose: true });
ajv.addKeyword({ keyword: 'component', schemaType: 'string' });
const compiled = new WeakMap<object, ValidateFunction>();

/** @returns the config with the defaults of its own level filled in @throws UserError listing every mistake */
export function validateConfig(config: Tree): Tree {
  const copy = structuredClone(config) as Tree;
  fail(check(copy, configSchema, ''));
  return copy;
}

/** Options of one component, defaults filled in. @throws UserError listing every mistake */
export function validateComponent(registry: Registry, config: Tree, path = registry.noun): Tree {
  const problems: string[] = [];
  const options = component(registry, structuredClone(config) as Tree, path, problems);
  fail(problems);
  return options ?? {};
}

function fail(problems: readonly string[]): void {
  if (problems.length > 0) throw new UserError(problems.join('\n'));
}

/** Fills defaults in place; problems of this level and of the components below it. */
function check(value: Tree, schema: object, path: string): string[] {
  let validate = compiled.get(schema);
  if (!validate) compiled.set(schema, (validate = ajv.compile(schema)));
  validate(value);
  const problems = [...new Set((validate.errors ?? []).map((e) => explain(e, value, path)).filter((text) => text !== undefined))];
  for (const [kind, at, found] of components(schema as SchemaNode, value, path)) component(REGISTRIES[kind], found, at, problems);
  return problems;
}

function component(registry: Registry, config: Tree, path: string, problems: string[]): Tree | undefined {
  const { type, ...options } = config;
  if (typeof type !== 'string') {
    problems.push(`${path}.type: missing; one of ${registry.names().join(', ')}`);
    return undefined;
  }
  const found = registry.get(type);
  if (!found) {
    problems.push(`${path}.type: unknown ${registry.noun} "${type}"${suggestion(type, registry.names())}`);
    return undefined;
  }
  problems.push(...check(options, found.options, path));
  return options;
}

/** Where a value holds components, following the schema. */
function* components(schema: SchemaNode, value: unknown, path: string): Generator<[KindName, string, Tree]> {
  if (schema.component && isTree(value)) {
    yield [schema.component, path, value];
    return;
  }
  for (const option of schema.anyOf ?? []) yield* components(option, value, path);
  if (Array.isArray(value) && schema.items) for (const [i, item] of value.entries()) yield* components(schema.items, item, `${path}.${i}`);
  if (!isTree(value)) return;
  for (const [key, child] of Object.entries(value)) {
    const below = schema.properties?.[key] ?? (typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined);
    if (below) yield* components(below, child, join(path, key));
  }
}

function explain(error: ErrorObject, root: Tree, path: string): string | undefined {
  const inner = error.instancePath.slice(1).replaceAll('/', '.');
  const at = inner === '' ? path : join(path, inner);
  const value = inner === '' ? root : getPath(root, inner);
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'additionalProperties': {
      const known = Object.keys((error.parentSchema?.['properties'] ?? {}) as object);
      return `${join(at, String(params['additionalProperty']))}: unknown option${suggestion(String(params['additionalProperty']), known)}`;
    }
    case 'required': return `${join(at, String(params['missingProperty']))}: missing; it has no default`;
    case 'type': return `${at}: expected ${[params['type']].flat().join(' or ')}, got ${JSON.stringify(value)}`;
    case 'enum': return `${at}: ${JSON.stringify(value)} is not one of ${(params['allowedValues'] as unknown[]).map((v) => JSON.stringify(v)).join(', ')}`;
    case 'const': return `${at}: ${JSON.stringify(value)} must be ${JSON.stringify(params['allowedValue'])}`;
    case 'anyOf': case 'oneOf': return `${at}: ${JSON.stringify(value)} has none of the allowed forms`;
    default: return `${at}: ${JSON.stringify(value)} ${error.message ?? 'is not valid'}`;
  }
}

/** `; did you mean "x"?` when something is near, else the list. */
export function suggestion(name: string, known: readonly string[]): string {
  if (known.length === 0) return '; there are none';
  const nearest = closest(name, [...known]);
  return distance(name, nearest) <= Math.max(2, name.length / 2) ? `; did you mean "${nearest}"?` : `; known: ${[...known].sort().join(', ')}`;
}
