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

export const PREDICTION_TYPES = ['epsilon', 'v_prediction', 'sample'] as const;
export type PredictionType = (typeof PREDICTION_TYPES)[number];
