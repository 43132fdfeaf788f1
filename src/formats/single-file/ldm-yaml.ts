/** The `.yaml` beside a checkpoint, in which CompVis and A1111 say what shapes do not. */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { FileError } from '../../base/errors.js';
import type { LdmConfigs } from './ldm-configs.js';

export interface LdmYaml {
  readonly predictsV?: boolean;
  readonly scaleFactor?: number;
  readonly linearStart?: number;
  readonly linearEnd?: number;
  readonly timesteps?: number;
  readonly numHeads?: number;
  readonly numHeadChannels?: number;
}

type Json = Readonly<Record<string, unknown>>;
const child = (value: unknown, key: string): Json => {
  const inner = typeof value === 'object' && value !== null ? (value as Json)[key] : undefined;
  return typeof inner === 'object' && inner !== null ? (inner as Json) : {};
};

/** @returns undefined when there is none @throws UserError when it cannot be read or a value is no number */
export async function readLdmYaml(file: string): Promise<LdmYaml | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new FileError(`${file}: cannot be read (${error.code}); check its permissions`, { cause: error });
  });
  if (text === undefined) return undefined;
  let root: unknown;
  try {
    root = parse(text, { maxAliasCount: 0 });
  } catch (error) {
    throw new FileError(`${file}: not YAML (${(error as Error).message.split('\n')[0]}); correct or remove it`, {
      cause: error,
    });
  }
  const params = child(child(root, 'model'), 'params'),
    unet = child(child(params, 'unet_config'), 'params');
  const number = (from: Json, key: string): number | undefined => {
    const value = from[key];
    if (value === undefined || value === null || value === -1) return undefined;
    if (typeof value === 'number' && value > 0) return value;
    throw new FileError(`${file}: ${key} = ${JSON.stringify(value)}; it must be a number above 0`);
  };
  const { parameterization } = params;
  if (parameterization !== undefined && parameterization !== 'v' && parameterization !== 'eps')
    throw new FileError(`${file}: parameterization = ${JSON.stringify(parameterization)}; supported: "eps", "v"`);
  return {
    predictsV: parameterization === 'v',
    scaleFactor: number(params, 'scale_factor'),
    linearStart: number(params, 'linear_start'),
    linearEnd: number(params, 'linear_end'),
    timesteps: number(params, 'timesteps'),
    numHeads: number(unet, 'num_heads'),
    numHeadChannels: number(unet, 'num_head_channels'),
  };
}

/** Configs with what the file says. */
export function withLdmYaml(configs: LdmConfigs, yaml: LdmYaml | undefined): LdmConfigs {
  if (!yaml) return configs;
  const { unet, vae, scheduler } = configs,
    channels = unet.block_out_channels as readonly number[];
  const heads =
    yaml.numHeads ?? (yaml.numHeadChannels === undefined ? undefined : channels.map((c) => c / yaml.numHeadChannels!));
  const set = (key: string, value: unknown): object => (value === undefined ? {} : { [key]: value });
  return {
    ...configs,
    unet: { ...unet, ...set('attention_head_dim', heads) },
    vae: { ...vae, ...set('scaling_factor', yaml.scaleFactor) },
    scheduler: {
      ...scheduler,
      ...set('beta_start', yaml.linearStart),
      ...set('beta_end', yaml.linearEnd),
      ...set('num_train_timesteps', yaml.timesteps),
    },
  };
}
