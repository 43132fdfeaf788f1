/** What a component may ask its constructor to be given: `@inject(LOGGER) log: Logger`. */
import type { ServiceIdentifier } from 'inversify';
import type { Logger } from '../base/logger.js';
import type { Rng } from '../base/rng.js';
import type { Registry } from './registry.js';

/** Builds a component from `{ type, ...options }`: looked up, validated, constructed with its services. */
export type Build = <Base extends object>(registry: Registry<Base>, config: object) => Base;

/** The key of a service. A room that offers one declares its token beside the service's type. */
export const token = <T>(name: string): ServiceIdentifier<T> => Symbol.for(`diffengine.${name}`);

/** The component's own options, validated, defaults filled in. */
export const OPTIONS = token<unknown>('OPTIONS');
export const BUILD = token<Build>('BUILD');
export const LOGGER = token<Logger>('LOGGER');
export const RNG = token<Rng>('RNG');
/** Folder for files that later runs can reuse. */
export const CACHE_DIR = token<string>('CACHE_DIR');
