/** What is evaluated: a pipeline, what a run trained, or what a config trains. */
import { existsSync } from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { UserError } from '../base/errors.js';
import { applyCfgOptions, type CfgOptions } from '../registry/cfg-options.js';
import { loadConfig } from '../registry/load-config.js';
import { isTree, type Tree } from '../registry/merge.js';
import { recordedRun } from '../formats/run-record.js';
import { resolvePackagePath } from '../base/package-path.js';
import { checkpointPath, chosenCheckpoint, recordedBase } from '../engine/checkpoint-path.js';
import type { Trained } from '../sampling/trained-networks.js';

export interface Target {
  /** names the folder of the results */
  readonly name: string;
  /** pipeline folder, or id of the hub */
  readonly model: string;
  readonly trained?: Trained;
  /** config that the model comes with, or that `--config` names; not validated, may be empty */
  readonly config: Tree;
  /** what paths in it are relative to */
  readonly configFile: string;
}

export interface TargetOptions {
  /** the model before training */
  readonly base: boolean;
  /** the pipeline that an adapter is for, where it does not say */
  readonly sdmodel?: string | undefined;
  /** a config to take the settings from */
  readonly config?: string | undefined;
  readonly cfgOptions: CfgOptions;
}

const CONFIG = ['.ts', '.mts', '.js', '.mjs', '.yaml', '.yml'];

/**
 * @param given pipeline folder or hub id; checkpoint, work dir or adapter; config file, or name of a built-in config
 * @throws UserError when there is nothing of that name, or nothing trained yet
 */
export async function findTarget(given: string, options: TargetOptions): Promise<Target> {
  const path = resolvePackagePath(given),
    isConfig = CONFIG.includes(extname(given));
  const found =
    !isConfig && existsSync(path)
      ? await fromPath(given, path, options)
      : !isConfig && given.includes('/')
        ? fromHub(given, options)
        : await fromConfig(given, options);
  return options.config === undefined
    ? found
    : { ...found, ...(await findSettings(options.config, options.cfgOptions)) };
}

/** Those of a config, or of the command line alone. */
export async function findSettings(
  nameOrPath: string | undefined,
  cfgOptions: CfgOptions,
): Promise<Pick<Target, 'config' | 'configFile'>> {
  if (nameOrPath === undefined) return { config: applyCfgOptions({}, cfgOptions, new Map()), configFile: HERE };
  const { config, file: configFile } = await loadConfig(nameOrPath, cfgOptions);
  return { config, configFile };
}

/** Where what was not read from a file could have been written. */
const HERE = resolve('eval.yaml');

const fromHub = (id: string, { cfgOptions }: TargetOptions): Target => ({
  name: id.replaceAll('/', '--'),
  model: id,
  config: applyCfgOptions({}, cfgOptions, new Map()),
  configFile: HERE,
});

async function fromPath(given: string, path: string, options: TargetOptions): Promise<Target> {
  if (existsSync(join(path, 'model_index.json'))) return { ...fromHub(given, options), name: basename(resolve(path)) };
  const { base, sdmodel, cfgOptions } = options;
  const folder = await checkpointPath(path),
    model = sdmodel ?? (await recordedBase(folder)),
    run = basename(dirname(folder));
  const name = /^step\d+$/.test(basename(folder)) ? `${run}-${basename(folder)}` : basename(folder, '.safetensors');
  const config = applyCfgOptions((await recordedRun(folder)).config, cfgOptions, new Map());
  return {
    name: base ? `${name}-base` : name,
    model,
    ...(base ? {} : { trained: { path: folder, scale: 1 } }),
    config,
    configFile: HERE,
  };
}

async function fromConfig(given: string, { base, sdmodel, cfgOptions }: TargetOptions): Promise<Target> {
  const { name, file, config } = await loadConfig(given, cfgOptions);
  const workDir = typeof config['work_dir'] === 'string' ? config['work_dir'] : join('work_dirs', name),
    checkpoint = await chosenCheckpoint(workDir);
  const start = isTree(config['model']) ? config['model']['model'] : undefined,
    model = sdmodel ?? start;
  if (typeof model !== 'string')
    throw new UserError(
      `${given}: names no pipeline to draw with (model.model); give a pipeline folder, or a config that trains one`,
    );
  const rest = { model, config, configFile: file };
  if (base) return { name: `${name}-base`, ...rest };
  if (checkpoint === undefined)
    throw new UserError(
      `${given}: nothing is trained in ${workDir} yet; train it, give a checkpoint's folder, or add --base for the model that it starts from`,
    );
  return { name: `${name}-${basename(checkpoint)}`, trained: { path: checkpoint, scale: 1 }, ...rest };
}
