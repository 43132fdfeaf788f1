/** Checks a config, and every component in it, against the schemas: all mistakes at once, with the nearest valid name. */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { closest, distance } from 'fastest-levenshtein';
import { type ErrorCode, UserError } from '../base/errors.js';
import { configSchema, evaluationSchema } from './config-schema.js';
import { getPath, isTree, join, type Tree } from './merge.js';
import { foreignComponent, foreignOption, hooksAsList } from './foreign-names.js';
import type { KindName } from './kinds.js';
import { registryOf, type Components } from './registry.js';

/** The parts of a JSON schema that lead to nested components. */
interface SchemaNode {
  readonly component?: KindName;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly anyOf?: readonly SchemaNode[];
}

const ajv = new Ajv({
  allErrors: true,
  useDefaults: true,
  allowUnionTypes: true,
  strict: true,
  strictRequired: false,
  verbose: true,
});
ajv.addKeyword({ keyword: 'component', schemaType: 'string' });
const compiled = new WeakMap<object, ValidateFunction>();

/** @returns the config with the defaults of its own level filled in @throws UserError listing every mistake */
export function validateConfig(config: Tree): Tree {
  const valid = validated(config, configSchema),
    { type, loss_scale } = valid['optim_wrapper'] as Tree;
  if (type !== 'AmpOptimWrapper' && loss_scale !== undefined) {
    fail([
      `optim_wrapper.loss_scale: ${String(loss_scale)}, and optim_wrapper.type is OptimWrapper, which computes in float32 and scales nothing; set type: 'AmpOptimWrapper', or leave loss_scale out`,
    ]);
  }
  return valid;
}

/** As `validateConfig`, of the part that an evaluation reads. */
export function validateEvaluation(config: Tree): Tree {
  return validated(config, evaluationSchema);
}

function validated(config: Tree, schema: object): Tree {
  const copy = structuredClone(config) as Tree;
  fail(check(copy, schema, ''));
  return copy;
}

/**
 * What a function of the library was given, against a schema of its own.
 * @param where names the function @throws UserError listing every mistake
 */
export function checkOptions(options: Tree, schema: object, where: string): void {
  fail(check(options, schema, where), 'INVALID_INPUT');
}

/** Options of one component, defaults filled in. @throws UserError listing every mistake */
export function validateComponent(registry: Components, config: Tree, path = registry.noun): Tree {
  const problems: string[] = [];
  const options = component(registry, config, path, problems);
  fail(problems);
  return options ?? {};
}

function fail(problems: readonly string[], code: ErrorCode = 'CONFIG_INVALID'): void {
  if (problems.length > 0) throw new UserError(problems.join('\n'), { code });
}

/** @throws UserError for a schema that is none: the component's author has to mend it */
function compile(schema: object, path: string): ValidateFunction {
  try {
    return ajv.compile(exactIntegers(schema) as object);
  } catch (error) {
    throw new UserError(
      `${path}: the options of this component are not a valid JSON schema (${(error as Error).message}); mend its static options`,
      { cause: error, code: 'CONFIG_INVALID' },
    );
  }
}

/** Above this, whole numbers of JavaScript are no longer exact: a seed or a count would not be the one that was given. */
const LARGEST = Number.MAX_SAFE_INTEGER;

function exactIntegers(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(exactIntegers);
  if (typeof schema !== 'object' || schema === null) return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, exactIntegers(value)]));
  return inner['type'] === 'integer' ? { minimum: -LARGEST, maximum: LARGEST, ...inner } : inner;
}

/** Fills defaults in place; problems of this level and of the components below it. */
function check(value: Tree, schema: object, path: string): string[] {
  let validate = compiled.get(schema);
  if (!validate) compiled.set(schema, (validate = compile(schema, path)));
  validate(value);
  const problems = [
    ...new Set(onePerValue(withoutBranches(validate.errors ?? [])).map((e) => explain(e, value, path))),
  ];
  for (const [kind, at, found] of components(schema as SchemaNode, value, path))
    component(registryOf(kind), found, at, problems);
  return problems;
}

function component(registry: Components, config: Tree, path: string, problems: string[]): Tree | undefined {
  const { type, ...options } = config;
  if (typeof type !== 'string') {
    problems.push(`${path}.type: missing; one of ${registry.names().join(', ')}`);
    return undefined;
  }
  const found = registry.get(type);
  if (!found) {
    const hint = foreignComponent(type);
    problems.push(
      `${path}.type: unknown ${registry.noun} "${type}"${hint ? `; ${hint}` : unregistered(type, registry.names())}`,
    );
    return undefined;
  }
  const filled = structuredClone(options); // the config that is written to the work dir keeps its own values
  problems.push(...check(filled, found.options, path));
  return filled;
}

/** Where a value holds components, following the schema. */
function* components(schema: SchemaNode, value: unknown, path: string): Generator<[KindName, string, Tree]> {
  if (schema.component && isTree(value)) {
    yield [schema.component, path, value];
    return;
  }
  for (const option of schema.anyOf ?? []) yield* components(option, value, path);
  if (Array.isArray(value) && schema.items)
    for (const [i, item] of value.entries()) yield* components(schema.items, item, `${path}.${i}`);
  if (!isTree(value)) return;
  for (const [key, child] of Object.entries(value)) {
    const below =
      schema.properties?.[key] ??
      (typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined);
    if (below) yield* components(below, child, join(path, key));
  }
}

/** A value of the wrong type is none of the allowed ones either: of each value, the first mistake, and that of its type before others. */
function onePerValue(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const ofKeys = ({ keyword }: ErrorObject): boolean => keyword === 'additionalProperties' || keyword === 'required';
  return errors.filter((error) => {
    const same = errors.filter((e) => e.instancePath === error.instancePath && !ofKeys(e));
    return ofKeys(error) || error === (same.find(({ keyword }) => keyword === 'type') ?? same[0]);
  });
}

/** Of the branches of an `anyOf`, those of the right type tell what is wrong; if there is none, their types are what is expected. */
function withoutBranches(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const union = errors.find(({ keyword }) => keyword === 'anyOf' || keyword === 'oneOf');
  if (!union) return errors;
  const inside = errors.filter(
    (e) => e !== union && e.schemaPath.startsWith(union.schemaPath) && e.instancePath.startsWith(union.instancePath),
  );
  const wrongType = inside.filter((e) => e.keyword === 'type' && e.instancePath === union.instancePath);
  const told = inside.filter((e) => !wrongType.includes(e));
  const types = wrongType.flatMap((e) => e.params['type'] as string | string[]);
  const rest = errors.filter((e) => e !== union && !inside.includes(e));
  return withoutBranches([
    ...rest,
    ...(told.length > 0 || types.length === 0 ? told : [{ ...union, keyword: 'type', params: { type: types } }]),
  ]);
}

function explain(error: ErrorObject, root: Tree, path: string): string {
  const inner = error.instancePath.slice(1).replaceAll('/', '.');
  const at = inner === '' ? path : join(path, inner);
  const value = inner === '' ? root : getPath(root, inner);
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'additionalProperties': {
      const known = Object.keys((error.parentSchema?.['properties'] ?? {}) as object);
      const where = join(at, String(params['additionalProperty'])),
        foreign = foreignOption(where);
      return `${where}: unknown option${foreign ? `; ${foreign}` : suggestion(String(params['additionalProperty']), known)}`;
    }
    case 'required':
      return `${join(at, String(params['missingProperty']))}: missing; it has no default`;
    case 'type':
      return hooksAsList(at, value) === undefined
        ? `${at}: expected ${[params['type']].flat().join(' or ')}, got ${shown(value)}`
        : `${at}: ${hooksAsList(at, value)}`;
    case 'enum':
      return `${at}: ${shown(value)} is not one of ${(params['allowedValues'] as unknown[]).map(shown).join(', ')}`;
    case 'maximum':
      if (params['limit'] !== LARGEST) return `${at}: ${shown(value)} ${error.message}`;
      return `${at}: ${shown(value)} is too large; at most 2^53 - 1 (${LARGEST})`;
    case 'const':
      return `${at}: ${shown(value)} must be ${shown(params['allowedValue'])}`;
    default:
      return `${at}: ${shown(value)} ${error.message ?? 'is not valid'}`;
  }
}

const MAX_SHOWN = 80;
const shown = (value: unknown): string => {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value)); // NaN is null in JSON
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
};

/** A name that is no misspelling may be that of a component whose file nobody imports. */
function unregistered(type: string, known: readonly string[]): string {
  const found = suggestion(type, known),
    isTypo = known.length > 0 && distance(type, closest(type, [...known])) <= 2;
  return isTypo
    ? found
    : `${found}${found.endsWith('?') ? ' If' : '; if'} it is your own, is its file in custom_imports?`;
}

/** `; did you mean "x"?` when something is near, else the list. */
export function suggestion(name: string, known: readonly string[]): string {
  if (known.length === 0) return '; there are none';
  const nearest = closest(name, [...known]);
  return distance(name, nearest) <= Math.max(2, name.length / 2)
    ? `; did you mean "${nearest}"?`
    : `; known: ${[...known].sort().join(', ')}`;
}
