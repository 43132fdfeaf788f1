/** What every component owes its user, checked on all that are registered. */
import { Ajv } from 'ajv';
import t from 'tap';
import { loadComponents } from '../../src/components.js';
import { configSchema } from '../../src/registry/config-schema.js';
import { allRegistries, registryOf } from '../../src/registry/registry.js';

interface Schema {
  readonly type?: string | readonly string[];
  readonly component?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly required?: readonly string[];
  readonly additionalProperties?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

/** The schema and every schema inside it, with its path. */
function* inside(schema: Schema, path: string): Generator<[string, Schema]> {
  yield [path, schema];
  for (const [key, property] of Object.entries(schema.properties ?? {})) yield* inside(property, `${path}.${key}`);
  if (schema.items) yield* inside(schema.items, `${path}[]`);
  for (const [i, option] of (schema.anyOf ?? []).entries()) yield* inside(option, `${path}|${i}`);
}

await loadComponents();
const ajv = new Ajv({ strict: true, strictRequired: true, allowUnionTypes: true }).addKeyword({
  keyword: 'component',
  schemaType: 'string',
});
const schemas: readonly (readonly [string, Schema])[] = [
  ['config', configSchema as Schema],
  ...allRegistries().flatMap((registry) =>
    registry.names().map((name) => [name, registry.get(name)?.options as Schema] as const),
  ),
];

void t.test('the kinds that a run needs have components', async (t) => {
  for (const kind of [
    'MODELS',
    'DATASETS',
    'TRANSFORMS',
    'SAMPLERS',
    'HOOKS',
    'OPTIMIZERS',
    'LR_SCHEDULES',
    'LOSSES',
    'NOISE',
    'TIMESTEPS',
    'SCHEDULERS',
    'BACKENDS',
  ] as const) {
    t.ok(registryOf(kind).names().length > 0, kind);
  }
});

void t.test('every schema compiles in the strict mode of Ajv, and requires only what it knows', async (t) => {
  for (const [name, schema] of schemas) t.doesNotThrow(() => ajv.compile(schema), name);
});

void t.test('every default is allowed by its own schema', async (t) => {
  for (const [name, schema] of schemas) {
    for (const [path, part] of inside(schema, name)) {
      if ('default' in part)
        t.ok(ajv.compile(part)(structuredClone(part.default)), `${path}: default ${JSON.stringify(part.default)}`);
    }
  }
});

void t.test('every option has a description, inner ones too', async (t) => {
  for (const [name, schema] of schemas) {
    for (const [path, { properties = {} }] of inside(schema, name)) {
      for (const [key, property] of Object.entries(properties)) t.match(property.description, /\w/, `${path}.${key}`);
    }
  }
});

void t.test('every object refuses options that it does not know, so that a typo is found', async (t) => {
  for (const [name, schema] of schemas) {
    for (const [path, part] of inside(schema, name)) {
      if (part.properties) t.equal(part.additionalProperties, false, path);
    }
  }
});

void t.test(
  'every inner object whose options have defaults is there by default, or the defaults would not be',
  async (t) => {
    for (const [name, schema] of schemas) {
      for (const [path, { properties = {} }] of inside(schema, name)) {
        for (const [key, part] of Object.entries(properties)) {
          const hasDefaults = Object.values(part.properties ?? {}).some((property) => 'default' in property);
          if (hasDefaults && (part.required ?? []).length === 0) t.ok('default' in part, `${path}.${key}`);
        }
      }
    }
  },
);
