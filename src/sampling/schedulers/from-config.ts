/** A sampler from a pipeline's scheduler_config.json. */
import { UserError } from '../../base/errors.js';
import { suggestion, validateComponent } from '../../registry/validate.js';
import { SCHEDULERS, type Scheduler } from './scheduler.js';
import type { SchedulerConfig } from './scheduler-options.js';
import './ddim.js';
import './ddpm.js';
import './deis-multistep.js';
import './dpm-solver-multistep.js';
import './dpm-solver-singlestep.js';
import './euler-ancestral.js';
import './euler.js';
import './heun.js';
import './kdpm2-ancestral.js';
import './kdpm2.js';
import './lcm.js';
import './lms.js';
import './pndm.js';
import './unipc-multistep.js';

/** A field that is set: null is none, and -Infinity is how diffusers says "no limit". */
const isSet = (value: unknown): boolean => value != null && value !== -Infinity;

/** Where a scheduler is named and configured, for messages. */
export interface SchedulerPlace {
  /** option that names another scheduler */
  readonly key: string;
  /** the file with the config */
  readonly file: string;
}

/**
 * @param config fields that only another class knows are left out, as by diffusers' `from_config`; missing ones take the class's defaults
 * @param name a registered scheduler; by default the config's own `_class_name`
 * @throws UserError for an unknown class or a value that cannot be followed, naming the nearest that can
 */
export function schedulerFromConfig(
  config: SchedulerConfig,
  name?: string,
  place: SchedulerPlace = { key: 'scheduler', file: 'scheduler_config.json' },
): Scheduler {
  const className = name ?? String(config['_class_name'] ?? 'PNDMScheduler'),
    Class = SCHEDULERS.get(className);
  if (!Class) throw new UserError(name === undefined ? notOurs(className, place) : unknownName(className, place));
  const given = Object.fromEntries(
    knownBy(Class.options)
      .filter((key) => isSet(config[key]))
      .map((key) => [key, config[key]]),
  );
  try {
    const options = validateComponent(SCHEDULERS, { ...given, type: className }, '');
    return new (Class as unknown as new (options: object) => Scheduler)(options);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const problems = error.message.replaceAll(/^(?:scheduler_config\.json: )?/gm, `${place.file}: `);
    throw new UserError(`${problems} (for ${className}; ${place.key} can name another scheduler)`, { cause: error });
  }
}

const unknownName = (name: string, { key }: SchedulerPlace): string =>
  `${key}: unknown scheduler "${name}"${suggestion(name, SCHEDULERS.names())}`;

const notOurs = (name: string, { key, file }: SchedulerPlace): string =>
  `${file}: _class_name "${name}" is not supported; set ${key} to one that is: ${SCHEDULERS.names().join(', ')}`;

/** Fields that are set and that no scheduler knows. */
export function unknownFields(config: SchedulerConfig): string[] {
  const known = new Set(SCHEDULERS.names().flatMap((name) => knownBy(SCHEDULERS.get(name)?.options)));
  return Object.keys(config).filter((key) => !key.startsWith('_') && isSet(config[key]) && !known.has(key));
}

const knownBy = (options: object | undefined): string[] =>
  options && 'properties' in options ? Object.keys(options.properties as object) : [];
