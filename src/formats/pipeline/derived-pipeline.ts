/** A pipeline folder made from another one: some components get new weights, everything else is copied. */
import { cp, readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { writeFolderAtomic } from '../../base/atomic-folder.js';
import { FileError } from '../../base/errors.js';
import { firstNonFinite, nameOfNonFinite } from '../../tensor/finite.js';
import { readJson } from '../read-json.js';
import { openSafetensors } from '../safetensors/safetensors.js';
import { isPointer, openCheckpointPart } from '../single-file/checkpoint-part.js';
import { writeAs } from '../safetensors/write-as.js';
import { listPresent } from './model-index.js';
import { partFolders } from './part-folders.js';

/** Writes weights (and config, when it changes) of a component into a folder that has the component's other files. */
export type WriteComponent = (folder: string) => Promise<void>;

const WEIGHTS = /\.(safetensors|bin|ckpt|pt|msgpack|onnx)$|\.index(\.[\w-]+)?\.json$|\.checkpoint\.json$/;

/** A network of a single-file checkpoint as a file of its own. */
async function writeOut(from: string, pointer: string, to: string): Promise<void> {
  const weights = await openCheckpointPart(from, pointer);
  await writeAs(join(to, pointer.replace('.checkpoint.json', '.safetensors')), {
    specs: [...weights.entries.values()],
    read: (name) => weights.read(name),
  });
}

/**
 * Copies `model_index.json` and the components that it names and that are there (the hub's safety checker is not
 * downloaded), those of `replace` without their weights. The folder appears whole or not at all; files beside the
 * components (single-file checkpoints) hold the old weights and are left behind.
 * @throws UserError when `source` is no pipeline, lacks a component of `replace`, or `out` has content
 */
export async function derivePipeline(
  source: string,
  out: string,
  replace: Readonly<Record<string, WriteComponent>>,
): Promise<void> {
  const from = resolve(source);
  const index = await readJson(join(from, 'model_index.json'), 'a diffusers pipeline folder has one');
  const parts = await partFolders(from);
  const names = Object.entries(index)
    .filter(
      ([name, entry]) => Array.isArray(entry) && entry[1] !== null && (name in replace || parts.names.includes(name)),
    )
    .map(([name]) => name);
  const absent = Object.keys(replace).find((name) => !names.includes(name));
  if (absent !== undefined)
    throw new FileError(`${join(from, 'model_index.json')}: no "${absent}"; it names ${names.join(', ')}`);
  await writeFolderAtomic(out, async (aside) => {
    await cp(join(from, 'model_index.json'), join(aside, 'model_index.json'), { dereference: true });
    await listPresent(join(aside, 'model_index.json'), names);
    for (const name of names) {
      const pointer = (await readdir(parts.of(name))).find(isPointer);
      const keep = (file: string): boolean => !(name in replace || pointer !== undefined) || !WEIGHTS.test(file);
      await cp(parts.of(name), join(aside, name), { recursive: true, dereference: true, filter: keep });
      if (name in replace) {
        await replace[name](join(aside, name));
        await requireNumbers(join(aside, name), parts.of(name), out);
      } else if (pointer !== undefined) await writeOut(parts.of(name), pointer, join(aside, name));
    }
  });
}

/** @throws UserError naming the first new weight that is no number, and whether the old one was */
async function requireNumbers(folder: string, old: string, out: string): Promise<void> {
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.safetensors'))) {
    const weights = await openSafetensors(join(folder, file));
    for (const name of weights.entries.keys()) {
      const value = await weights.read(name),
        at = firstNonFinite(value);
      if (at < 0) continue;
      const before = await openSafetensors(join(old, file))
        .then((base) => (base.entries.has(name) ? base.read(name) : undefined))
        .catch(() => undefined); // a .bin, or shards: then only the new value is told
      const why =
        before && firstNonFinite(before) >= 0
          ? `it is so in ${join(old, file)} already; use another base model`
          : 'what was trained is no number, or too large for the type of the weights; use an earlier checkpoint, a smaller --lora-scale, or float32';
      throw new FileError(
        `${resolve(out)}: ${basename(folder)} tensor "${name}" would hold ${nameOfNonFinite(value, at)} (value ${at} of ${value.data.length}): ${why}`,
      );
    }
  }
}
