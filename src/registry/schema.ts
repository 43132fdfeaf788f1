/** Options of a component, declared once: as a JSON schema that types, validation, `describe` and editors read. */
import type { ExtendedJSONSchema, FromExtendedSchema } from 'json-schema-to-ts';
import type { KindName } from './kinds.js';

/**
 * Our own keyword: `component: 'LOSSES'` marks an option that is itself `{ type, ... }` of that registry,
 * checked with the schema of its `type`. It may stand in `properties`, `items`, `additionalProperties` and `anyOf`.
 */
export type SchemaExtension = { component?: KindName };
export type OptionsSchema = ExtendedJSONSchema<SchemaExtension> & {
  readonly description: string;
  readonly type: 'object';
};

/** Options as a component receives them: defaults filled in. Use on concrete schemas only, or tsc gets slow. */
export type Output<S extends ExtendedJSONSchema<SchemaExtension>> = FromExtendedSchema<SchemaExtension, S>;

/**
 * A component in the published types: its options already resolved, for that took most of a user's compilation.
 * scripts/link-component-types.mjs writes them.
 */
export interface Published<I> {
  readonly input: I;
}

/** Where options hold a component of kind K. */
export interface Nested<K extends KindName> {
  readonly kind: K;
}
type At<K extends KindName> = { pattern: { component: K }; output: Nested<K> };
type NestedPatterns = [
  At<'MODELS'>,
  At<'DATASETS'>,
  At<'TRANSFORMS'>,
  At<'SAMPLERS'>,
  At<'HOOKS'>,
  At<'OPTIMIZERS'>,
  At<'LR_SCHEDULES'>,
  At<'LOSSES'>,
  At<'NOISE'>,
  At<'TIMESTEPS'>,
  At<'SCHEDULERS'>,
  At<'METRICS'>,
  At<'ADAPTERS'>,
  At<'BACKENDS'>,
];

/** Options as a config gives them: what has a default may be left out; nested components are `Nested`. */
export type Input<S extends ExtendedJSONSchema<SchemaExtension>> = FromExtendedSchema<
  SchemaExtension,
  S,
  { keepDefaultedPropertiesOptional: true; deserialize: NestedPatterns }
>;
