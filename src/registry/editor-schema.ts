/** One JSON schema for whole YAML configs, so that an editor completes and checks them. */
import { configSchema } from './config-schema.js';
import type { KindName } from './kinds.js';
import { allRegistries } from './registry.js';
import { SIZE_DESCRIPTION } from './size.js';

type Schema = Readonly<Record<string, unknown>>;
const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Nothing is required in it, since a config may inherit the rest. Components must be loaded. */
export function editorSchema(): Schema {
  const definitions = Object.fromEntries(
    allRegistries()
      .filter((registry) => registry.names().length > 0)
      .map((registry) => [
        registry.kind,
        {
          anyOf: registry.names().map((name) => {
            const options = loose(registry.get(name)?.options as Schema);
            return {
              ...options,
              properties: {
                type: { const: name, description: options['description'] },
                ...(options['properties'] as object),
              },
            };
          }),
        },
      ]),
  );
  const config = loose(configSchema);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    ...config,
    properties: {
      _base_: { type: ['string', 'array'], items: { type: 'string' }, description: 'configs to inherit from' },
      size: { type: 'integer', minimum: 8, multipleOf: 8, description: SIZE_DESCRIPTION },
      ...(config['properties'] as object),
    },
    definitions,
  };
}

/** What a file that inherits may hold: parts of objects, `_delete_`, null to remove. Marked components become references. */
function loose(schema: Schema): Schema {
  const { component, ...out }: Record<string, unknown> = schema;
  if (component !== undefined)
    return {
      anyOf: [{ $ref: `#/definitions/${component as KindName}` }, { type: 'null' }],
      description: schema['description'],
    };
  delete out['required'];
  for (const key of ['items', 'additionalProperties']) if (isSchema(out[key])) out[key] = loose(out[key]);
  if (Array.isArray(out['anyOf'])) out['anyOf'] = out['anyOf'].map(loose);
  const { properties } = out;
  if (!isSchema(properties)) return out;
  const looser = Object.entries(properties).map(([key, value]) => [key, loose(value as Schema)] as const);
  out['properties'] = {
    ...Object.fromEntries(looser),
    _delete_: { type: 'boolean', description: 'replace the inherited object whole' },
  };
  return out;
}
