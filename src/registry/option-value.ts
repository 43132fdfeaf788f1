/** What the text of one `--cfg-options key=text` means, given what the option takes. */
import { UserError } from '../base/errors.js';
import { configSchema } from './config-schema.js';
import { isTree, type Tree } from './merge.js';
import { allRegistries } from './registry.js';
import { parseYaml, type ParsedYaml } from './yaml.js';

/** The part of a JSON schema that is read here. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly component?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

/**
 * An option that takes text gets the text as it stands; `null` alone removes it. Where an option takes something else
 * too, or is not known, text is what does not read as such: lists and objects are written `[...]`, `{...}`.
 * @param before the value that the option has so far
 * @throws UserError for YAML that is none, or that has a comment, which would be lost
 */
export function optionValue(
  text: string,
  path: readonly string[],
  config: Tree,
  before: unknown,
  where: string,
): unknown {
  const schemas = path.at(-1) === 'type' ? [TEXT] : schemasAt(path, config),
    others = schemas.filter((schema) => !takesText(schema));
  if (text === 'null') return null;
  if (schemas.length > 0 && others.length === schemas.length) return structured(text, where);
  if (others.length === 0 && (schemas.length > 0 || typeof before === 'string')) return text;
  // Text or something else.
  if (isFlow(text)) return others.length > 0 && !others.some((o) => takesFlow(o)) ? text : structured(text, where);
  if (/^[[{]/.test(text) && others.length === 0) return structured(text, where); // not known: perhaps cut off
  const { value, hasComment } = attempt(text, where) ?? { value: text, hasComment: false };
  if (hasComment || typeof value === 'object') return text;
  if (typeof value === 'string') return others.length === 0 && /^["']/.test(text) ? value : text;
  return others.length === 0 || others.some((other) => takes(other, value)) ? value : text;
}

const TEXT: Schema = { type: 'string' };

/** A list or an object from its first sign to its last. */
const isFlow = (text: string): boolean => /^\s*(?:\[[^]*\]|\{[^]*\})\s*$/.test(text);

function structured(text: string, where: string): unknown {
  const { value, hasComment } = parseYaml(text, () => `${where}: the value is not YAML`, 'quote the text in it');
  if (hasComment)
    throw new UserError(
      `${where}: " #" begins a comment in YAML, and what follows would be lost; quote the text in it`,
      { code: 'CONFIG_INVALID' },
    );
  return value;
}

function attempt(text: string, where: string): ParsedYaml | undefined {
  try {
    return parseYaml(text, () => where, 'quote it');
  } catch {
    return undefined; // so it is text
  }
}

const typesOf = ({ type, enum: values, const: only }: Schema): readonly (string | undefined)[] =>
  type !== undefined ? [type].flat() : (values ?? [only]).map((v) => (v === null ? 'null' : typeof v));
const takesText = (schema: Schema): boolean => typesOf(schema).includes('string');
const takesFlow = (schema: Schema): boolean => typesOf(schema).some((t) => t === 'array' || t === 'object');
const takes = (schema: Schema, value: unknown): boolean =>
  typesOf(schema).some((t) => t === typeof value || (t === 'integer' && typeof value === 'number'));

/** What an option may be: one schema, several of an `anyOf`, none where nobody says. */
function schemasAt(path: readonly string[], config: Tree): readonly Schema[] {
  let schemas: readonly Schema[] = [configSchema as Schema];
  let node: unknown = config;
  for (const key of path) {
    schemas = schemas.flatMap((schema) => inside(schema, node)).flatMap((schema) => below(schema, key));
    node = typeof node === 'object' && node !== null ? (node as Tree)[key] : undefined;
  }
  return schemas.flatMap(branches);
}

/** An `anyOf`, and a list of types, are alternatives. */
function branches(schema: Schema): readonly Schema[] {
  if (schema.anyOf) return schema.anyOf.flatMap(branches);
  return Array.isArray(schema.type) ? (schema.type as string[]).map((type) => ({ ...schema, type })) : [schema];
}

/** A place for a component has the options of the component that stands there. */
function inside(schema: Schema, node: unknown): readonly Schema[] {
  return branches(schema).flatMap((branch) => {
    if (branch.component === undefined) return [branch];
    const registry = allRegistries().find(({ kind }) => kind === branch.component);
    const found = isTree(node) ? registry?.get(String(node['type'])) : undefined;
    return found ? [found.options as Schema] : [];
  });
}

function below(schema: Schema, key: string): readonly Schema[] {
  if (schema.items) return /^\d+$/.test(key) ? [schema.items] : [];
  const found =
    schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key] : schema.additionalProperties;
  return typeof found === 'object' ? [found] : [];
}
