/** Reads `scheduler_config.json`: values of the right kind, diffusers' defaults for what is missing. */
import { UserError } from '../../base/errors.js';

export type SchedulerConfig = Readonly<Record<string, unknown>>;
const WHERE = 'scheduler_config.json';

/** @throws UserError when present and not a finite number */
export function numberOption(config: SchedulerConfig, key: string, fallback: number): number {
  const value = config[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new UserError(`${WHERE}: ${key} is ${JSON.stringify(value)}; it must be a number`);
  return value;
}

/** @throws UserError when present and none of `choices` */
export function choiceOption<T extends string>(
  config: SchedulerConfig,
  key: string,
  choices: readonly T[],
  fallback: T,
): T {
  const value = config[key] ?? fallback;
  const found = choices.find((choice) => choice === value);
  if (found === undefined)
    throw new UserError(`${WHERE}: ${key} ${JSON.stringify(value)} is not supported; use ${choices.join(', ')}`);
  return found;
}

/** @throws UserError when one of these options, which we cannot honour, is on; -Infinity is how diffusers says "no limit" */
export function refuse(config: SchedulerConfig, keys: readonly string[]): void {
  for (const key of keys) {
    if (config[key] && config[key] !== -Infinity)
      throw new UserError(
        `${WHERE}: ${key} ${JSON.stringify(config[key])} is not supported; set it to false or leave it out`,
      );
  }
}

export const PREDICTION_TYPES = ['epsilon', 'v_prediction'] as const;
export type PredictionType = (typeof PREDICTION_TYPES)[number];
