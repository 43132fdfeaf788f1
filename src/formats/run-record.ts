/** What a checkpoint says of its run, for whoever draws with it, exports it or shares it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RawConfig } from '../networks/component-config.js';
import { readJson } from './read-json.js';

export const RECORD_FILE = 'run.json';
const isRecord = (value: unknown): value is RawConfig =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export interface RecordedRun {
  /** 0-based, the last one that is in the checkpoint; undefined where there is no record */
  readonly iteration: number | undefined;
  /** empty where there is no record */
  readonly config: RawConfig;
  /** `config.model`, or empty */
  readonly model: RawConfig;
}

/** @param folder checkpoint; adapters from elsewhere have no record */
export async function recordedRun(folder: string): Promise<RecordedRun> {
  const file = join(folder, RECORD_FILE);
  const { iteration, config } = existsSync(file) ? await readJson(file, 'a checkpoint has one') : {};
  const known = isRecord(config) ? config : {};
  return {
    iteration: typeof iteration === 'number' ? iteration : undefined,
    config: known,
    model: isRecord(known['model']) ? known['model'] : {},
  };
}
