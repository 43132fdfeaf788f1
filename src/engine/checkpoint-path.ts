/** What a path on the command line means: a checkpoint, an adapter, a work dir. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UserError } from '../base/errors.js';
import { readJson } from '../formats/read-json.js';
import { recordedRun } from '../formats/run-record.js';
import type { RawConfig } from '../networks/component-config.js';
import { bestCheckpoint, lastCheckpoint } from './checkpoint.js';

/** Of a work dir: the checkpoint that measured best, where one is kept as such, else the last. */
export const chosenCheckpoint = async (workDir: string): Promise<string | undefined> =>
  (await bestCheckpoint(workDir)) ?? (await lastCheckpoint(workDir));

/** A checkpoint or adapter; of a work dir, its best or last checkpoint. @throws UserError when there is nothing at that path */
export async function checkpointPath(path: string): Promise<string> {
  const found = (await chosenCheckpoint(path)) ?? resolve(path);
  if (!existsSync(found))
    throw new UserError(
      `${path}: no such checkpoint or adapter; give a folder such as work_dirs/my_run/step999, or a .safetensors file`,
      { code: 'FILE_NOT_FOUND' },
    );
  return found;
}

/**
 * The base model that a checkpoint or adapter says it was trained on.
 * @throws UserError when it does not say
 */
export async function recordedBase(path: string): Promise<string> {
  const read = async (file: string): Promise<RawConfig> =>
    existsSync(join(path, file)) ? readJson(join(path, file), 'a checkpoint has one') : {};
  for (const file of ['adapter_config.json', 'unet/adapter_config.json', 'text_encoder/adapter_config.json']) {
    const base = (await read(file))['base_model_name_or_path'];
    if (typeof base === 'string' && base !== '') return base;
  }
  const { model } = (await recordedRun(path)).model;
  if (typeof model === 'string') return model;
  throw new UserError(`${path}: does not say which model it was trained on; give it with --sdmodel`);
}
