/** What every function of the library takes, and how its options are checked. */
import { UserError } from '../base/errors.js';
import { SILENT, type Logger } from '../base/logger.js';
import { isTree } from '../registry/merge.js';
import { checkOptions } from '../registry/validate.js';

/** Options that all functions of the library have. */
export interface CallOptions {
  /** Aborted: the work stops as soon as it can, and the function throws a `UserError` of code INTERRUPTED. */
  readonly signal?: AbortSignal | undefined;
  /** Is told what happens, for people to read. Default: nothing is said. */
  readonly log?: Logger | undefined;
}

/** A schema for each option of T but those of every function. */
type Shapes<T> = { readonly [Key in Exclude<keyof T, keyof CallOptions>]-?: object };

export const TEXT = { type: 'string', minLength: 1 } as const;
export const FLAG = { type: 'boolean' } as const;
/** A name, or a component's config. */
export const COMPONENT = { type: ['string', 'object'] } as const;

/** Checks the options of one function of the library. @throws UserError listing every mistake */
export type CheckCall<T> = (where: string, options: T) => void;

/** @param required options that may not be left out */
export function optionsOf<T extends CallOptions>(
  shapes: Shapes<T>,
  required: readonly (keyof T & string)[] = [],
): CheckCall<T> {
  const schema = {
    type: 'object',
    additionalProperties: false,
    properties: { ...shapes, signal: {}, log: {} },
    required: [...required],
  };
  return (where, options) => {
    if (!isTree(options))
      throw new UserError(`${where}: options are ${JSON.stringify(options) ?? String(options)}; give an object`);
    const { signal, log, ...data } = options as T;
    checkOptions(data, schema, where);
    if (signal !== undefined && !(signal instanceof AbortSignal))
      throw new UserError(`${where}.signal: ${String(signal)} is no AbortSignal; give controller.signal`);
    const silent = (Object.keys(SILENT) as (keyof Logger)[]).filter((name) => typeof log?.[name] !== 'function');
    if (log !== undefined && silent.length > 0)
      throw new UserError(`${where}.log: has no function ${silent.join(', ')}; console is one that has all`);
  };
}

/** The caller's signal, or one that never is. */
export const signalOf = ({ signal }: CallOptions): AbortSignal => signal ?? new AbortController().signal;

/** The caller's logger, or one that says nothing. */
export const logOf = ({ log }: CallOptions): Logger => log ?? SILENT;
