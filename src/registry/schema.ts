/** Options of a component, declared once: as a JSON schema that types, validation, `describe` and editors read. */
import type { ExtendedJSONSchema, FromExtendedSchema } from 'json-schema-to-ts';
import type { KindName } from './kinds.js';

/** Our own keyword: `component: 'LOSSES'` marks an option that is itself `{ type, ... }` of that registry. */
export type SchemaExtension = { component?: KindName };
export type OptionsSchema = ExtendedJSONSchema<SchemaExtension> & { readonly description: string; readonly type: 'object' };

/** Options as a component receives them: defaults filled in. Use on concrete schemas only, or tsc gets slow. */
export type Output<S extends ExtendedJSONSchema<SchemaExtension>> = FromExtendedSchema<SchemaExtension, S>;
/** Options as a config gives them: what has a default may be left out. */
export type Input<S extends ExtendedJSONSchema<SchemaExtension>> = FromExtendedSchema<SchemaExtension, S, { keepDefaultedPropertiesOptional: true }>;
