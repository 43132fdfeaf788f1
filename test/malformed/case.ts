/** One malformed input: files to write, and the command that must refuse them. */
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Rng, type RandomStream } from '../../src/base/rng.js';

export interface Case {
  readonly name: string;
  /** writes the input into a new folder */
  readonly write: (folder: string) => void;
  /** of the command line; `{}` in them is the folder */
  readonly args: readonly string[];
  /** a run opens its work dir, with config and log, before it looks at data */
  readonly opensWorkDir?: boolean;
}

export const MODEL = resolve('assets/tiny-random-sd');
const SEED = 16;
/** Equal names give equal cases. */
export const chance = (name: string): RandomStream => new Rng(SEED).stream(name);
export const pick = <T>(stream: RandomStream, list: readonly T[]): T => list[stream.int(0, list.length)];

export function put(folder: string, name: string, data: string | Uint8Array): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  rmSync(join(folder, name), { force: true, recursive: true });
  writeFileSync(join(folder, name), data);
}

/** The smallest model with one file of its own; the others are links. */
export function modelWith(folder: string, file: string, data: string | Uint8Array | undefined): void {
  cpSync(MODEL, join(folder, 'model'), { recursive: true, filter: (path) => !path.endsWith('.safetensors') });
  for (const weights of ['unet/diffusion_pytorch_model', 'vae/diffusion_pytorch_model', 'text_encoder/model'])
    symlinkSync(join(MODEL, `${weights}.safetensors`), join(folder, 'model', `${weights}.safetensors`));
  if (data === undefined) rmSync(join(folder, 'model', file));
  else put(join(folder, 'model'), file, data);
}

export const DEMO = ['demo', 'x', '{}/model', '--steps', '1', '--height', '64', '--width', '64', '--out', '{}/x.png'];
export const original = (file: string): Buffer => readFileSync(join(MODEL, file));
export const json = (file: string): Record<string, unknown> =>
  JSON.parse(original(file).toString()) as Record<string, unknown>;
