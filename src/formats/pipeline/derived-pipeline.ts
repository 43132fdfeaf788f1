/** A pipeline folder made from another one: some components get new weights, everything else is copied. */
import { cp, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { writeFolderAtomic } from '../../base/atomic-folder.js';
import { UserError } from '../../base/errors.js';
import { readJson } from '../read-json.js';
import { forgetAbsent } from './model-index.js';

/** Writes weights (and config, when it changes) of a component into a folder that has the component's other files. */
export type WriteComponent = (folder: string) => Promise<void>;

const WEIGHTS = /\.(safetensors|bin|ckpt|pt|msgpack|onnx)$|\.index(\.[\w-]+)?\.json$/;

/**
 * Copies `model_index.json` and the components that it names and that are there (the hub's safety checker is not downloaded), those of `replace` without their weights. The folder appears
 * whole or not at all; files beside the components (single-file checkpoints) hold the old weights and are left behind.
 * @throws UserError when `source` is no pipeline, lacks a component of `replace`, or `out` has content
 */
export async function derivePipeline(
  source: string,
  out: string,
  replace: Readonly<Record<string, WriteComponent>>,
): Promise<void> {
  const from = resolve(source);
  const index = await readJson(join(from, 'model_index.json'), 'a diffusers pipeline folder has one');
  const there = (await readdir(from, { withFileTypes: true })).filter((e) => !e.isFile()).map((e) => e.name);
  const names = Object.entries(index)
    .filter(([name, entry]) => Array.isArray(entry) && entry[1] !== null && (name in replace || there.includes(name)))
    .map(([name]) => name);
  const absent = Object.keys(replace).find((name) => !names.includes(name));
  if (absent !== undefined)
    throw new UserError(`${join(from, 'model_index.json')}: no "${absent}"; it names ${names.join(', ')}`);
  await writeFolderAtomic(out, async (aside) => {
    await cp(join(from, 'model_index.json'), join(aside, 'model_index.json'), { dereference: true });
    await forgetAbsent(join(aside, 'model_index.json'), names);
    for (const name of names) {
      const keep = (file: string): boolean => !(name in replace) || !WEIGHTS.test(file);
      await cp(join(from, name), join(aside, name), { recursive: true, dereference: true, filter: keep });
      await replace[name]?.(join(aside, name));
    }
  });
}
