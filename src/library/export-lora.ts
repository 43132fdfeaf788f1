import { exportAdapter, EXPORTS, type ExportFormat } from '../adapters/export.js';
import { requireFolder } from '../base/atomic-folder.js';
import { outputPlace } from '../base/output-place.js';
import { TARGET_LIBRARIES, type TargetLibraries } from '../adapters/text-encoder-names.js';
import { logOf, optionsOf, TEXT, type CallOptions } from './call-options.js';
import { openAdapter, type AdaptedModules } from './open-adapter.js';

export type { ExportFormat } from '../adapters/export.js';
export type { TargetLibraries } from '../adapters/text-encoder-names.js';

export interface ExportLoraOptions extends CallOptions {
  /** The file (.safetensors), or the folder for peft. */
  readonly out: string;
  /** peft: a folder; diffusers: a file for load_lora_weights; kohya: a file for A1111 and ComfyUI. Default 'kohya'. */
  readonly format?: ExportFormat | undefined;
  /**
   * Which Python libraries read it: from transformers 5.6 on, modules of the text encoder have shorter names. Files of kohya
   * have both for 'current', the default.
   */
  readonly libraries?: TargetLibraries | undefined;
}

const check = optionsOf<ExportLoraOptions>(
  { out: TEXT, format: { enum: Object.keys(EXPORTS) }, libraries: { enum: Object.keys(TARGET_LIBRARIES) } },
  ['out'],
);

/**
 * Writes an adapter in the format of another tool.
 * @param pipeline base model of the adapter: a folder, or an id of the hub
 * @param adapter checkpoint or work dir of a run, or an adapter of PEFT, diffusers or kohya
 * @returns where it is, and how many modules of each network it changes
 * @throws UserError FILE_NOT_FOUND, FILE_INVALID, MODEL_MISMATCH, FILE_ACCESS, DISK_FULL, ...
 */
export async function exportLora(
  pipeline: string,
  adapter: string,
  options: ExportLoraOptions,
): Promise<{ readonly out: string; readonly format: ExportFormat; readonly modules: AdaptedModules }> {
  check('exportLora', options);
  const { out, format = 'kohya', libraries } = options;
  // before long work
  if (format === 'peft') await requireFolder(out);
  else await outputPlace(out);
  const { fitted, modules } = await openAdapter(pipeline, adapter, options, 'exportLora');
  await exportAdapter(fitted, format, out, libraries, logOf(options));
  return { out, format, modules };
}
