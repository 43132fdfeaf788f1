import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { requireNewFolder } from '../base/atomic-folder.js';
import { stopIfAborted } from '../base/errors.js';
import { checkpointPath, recordedBase } from '../engine/checkpoint-path.js';
import type { FloatType } from '../formats/float-formats.js';
import { resolveModel } from '../formats/hub/hub.js';
import { openPipeline } from '../formats/pipeline/pipeline-folder.js';
import { exportPipeline as write } from '../models/export-pipeline.js';
import { logOf, optionsOf, TEXT, type CallOptions } from './call-options.js';

export interface ExportPipelineOptions extends CallOptions {
  /** New folder for the pipeline. */
  readonly out: string;
  /** Pipeline that the run started from: a folder, or an id of the hub. Default: the one that the checkpoint names. */
  readonly baseModel?: string | undefined;
  /** Of the trained networks. Default: as they were trained, float32. */
  readonly dtype?: FloatType | undefined;
}

const check = optionsOf<ExportPipelineOptions>(
  { out: TEXT, baseModel: TEXT, dtype: { enum: ['float32', 'float16'] } },
  ['out'],
);

export interface ExportPipelineResult {
  readonly out: string;
  readonly checkpoint: string;
  /** folder of the pipeline that the rest is of */
  readonly base: string;
  /** components that are the checkpoint's: `unet`, `text_encoder` */
  readonly parts: readonly string[];
}

/**
 * Writes a complete pipeline from a checkpoint whose networks were trained whole, such as a distilled student.
 * @param path checkpoint or work dir of a run
 * @throws UserError FILE_NOT_FOUND, FILE_INVALID, OUTPUT_EXISTS, ...
 */
export async function exportPipeline(path: string, options: ExportPipelineOptions): Promise<ExportPipelineResult> {
  check('exportPipeline', options);
  const log = logOf(options),
    { out, baseModel, dtype, signal } = options;
  stopIfAborted(signal, 'exportPipeline');
  await requireNewFolder(out); // before long work
  const checkpoint = await checkpointPath(path);
  const base = await resolveModel(baseModel ?? (await recordedBase(checkpoint)), { log, signal });
  const parts = await write(checkpoint, base, out, { dtype, log });
  await openPipeline(out, log); // every tensor is there and fits its config
  for (const part of ['unet', 'text_encoder'])
    if (existsSync(join(checkpoint, part, 'adapter_config.json')))
      log.warn(`${join(checkpoint, part)}: an adapter, which is not in ${out}; demo_lora uses both`);
  return { out, checkpoint, base, parts };
}
