import { rm } from 'node:fs/promises';
import { mergePipeline } from '../adapters/merge.js';
import { requireNewFolder } from '../base/atomic-folder.js';
import { outputPlace } from '../base/output-place.js';
import { writeCheckpoint } from '../formats/single-file/write-checkpoint.js';
import { logOf, optionsOf, TEXT, type CallOptions } from './call-options.js';
import { openAdapter, type AdaptedModules } from './open-adapter.js';

export interface MergeLoraOptions extends CallOptions {
  /** New folder for the pipeline, or a file that ends in .safetensors, for A1111 and ComfyUI. */
  readonly out: string;
  /** Multiplies what the adapter changes; 1 as trained. Default 1. */
  readonly scale?: number | undefined;
}

const check = optionsOf<MergeLoraOptions>({ out: TEXT, scale: { type: 'number' } }, ['out']);

/**
 * Writes a pipeline that has an adapter in its weights, for tools that know no adapters. Whole or not at all.
 * @param pipeline base model of the adapter: a folder, a checkpoint in one file, or an id of the hub
 * @param adapter checkpoint or work dir of a run, or an adapter of PEFT, diffusers or kohya
 * @returns where it is, and how many modules of each network were changed
 * @throws UserError FILE_NOT_FOUND, FILE_INVALID, MODEL_MISMATCH, OUTPUT_EXISTS, ...
 */
export async function mergeLora(
  pipeline: string,
  adapter: string,
  options: MergeLoraOptions,
): Promise<{ readonly out: string; readonly modules: AdaptedModules }> {
  check('mergeLora', options);
  const { out, scale = 1 } = options;
  const isOneFile = out.endsWith('.safetensors');
  await (isOneFile ? outputPlace(out) : requireNewFolder(out)); // before long work
  const { base, fitted, modules, prediction } = await openAdapter(pipeline, adapter, options, 'mergeLora');
  if (!isOneFile) {
    await mergePipeline(base, fitted.values, out, scale, logOf(options), prediction);
    return { out, modules };
  }
  const aside = `${out}.${process.pid}.tmp`; // beside it: there is room for the file, so there is for the folder
  try {
    await mergePipeline(base, fitted.values, aside, scale, logOf(options), prediction);
    await writeCheckpoint(aside, out, { log: logOf(options) });
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return { out, modules };
}
