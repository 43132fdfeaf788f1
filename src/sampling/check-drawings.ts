/** Whether pictures can be drawn as a run or a command asks, told from the pipeline's scheduler_config.json alone: before anything large is read. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { RawConfig } from '../networks/component-config.js';
import { readJson } from '../formats/read-json.js';
import { schedulerFromConfig, unknownFields } from './schedulers/from-config.js';
import { NoiseSchedule } from './schedulers/noise-schedule.js';

/** Pictures that will be asked for. */
export interface Drawing {
  /** scheduler class; default the pipeline's own */
  readonly scheduler?: string | undefined;
  readonly steps: number;
  /** the options that say so, for messages: `custom_hooks.preview.scheduler`, `--steps` */
  readonly keys: { readonly scheduler: string; readonly steps: string };
}

export const schedulerFile = (folder: string): string => join(folder, 'scheduler', 'scheduler_config.json');

/** @throws UserError when it is missing or no JSON */
export const readSchedulerConfig = (folder: string): Promise<RawConfig> =>
  readJson(schedulerFile(folder), 'a pipeline names its noise schedule there');

/** Identifies what decides the steps of a pipeline's pictures beside its weights and the request. */
export const schedulerFingerprint = (config: RawConfig): string =>
  createHash('sha256').update(JSON.stringify(config)).digest('hex');

/** @throws UserError when the noise schedule of a pipeline cannot be followed */
export function checkNoiseSchedule(folder: string, config: RawConfig): void {
  told(() => new NoiseSchedule(config), /^scheduler_config\.json:/, schedulerFile(folder));
}

/**
 * @param config the file's content, with what the run sets in its place
 * @throws UserError naming the option that mends it, when a scheduler or its number of steps cannot be followed
 */
export function checkDrawings(folder: string, config: RawConfig, drawings: readonly Drawing[], log: Logger): void {
  const file = schedulerFile(folder),
    unknown = unknownFields(config);
  if (unknown.length > 0) log.warn(`${file}: no scheduler knows ${unknown.join(', ')}; left out`);
  for (const { scheduler, steps, keys } of drawings) {
    const built = schedulerFromConfig(config, scheduler, { key: keys.scheduler, file });
    told(() => built.setTimesteps(steps), /^steps:/, keys.steps);
  }
}

/** Errors of `work` name the user's own `place` where they begin with the general one. */
function told(work: () => unknown, general: RegExp, place: string): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(error.message.replace(general, `${place}:`), { cause: error });
  }
}
