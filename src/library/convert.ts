import { stat } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { requireNewFolder } from '../base/atomic-folder.js';
import { stopIfAborted, UserError } from '../base/errors.js';
import { outputPlace } from '../base/output-place.js';
import { convertFolder } from '../formats/convert-folder.js';
import type { FloatType } from '../formats/float-formats.js';
import { resolveModel } from '../formats/hub/hub.js';
import { CHECKPOINTS } from '../formats/single-file/open-checkpoint.js';
import { writeCheckpoint } from '../formats/single-file/write-checkpoint.js';
import { logOf, optionsOf, TEXT, type CallOptions } from './call-options.js';

export type { FloatType } from '../formats/float-formats.js';

export interface ConvertOptions extends CallOptions {
  /**
   * New folder for the whole model, or a file that ends in .safetensors, for A1111 and ComfyUI. Default: files of .bin get
   * a copy beside them.
   */
  readonly out?: string | undefined;
  /** Of the floating-point tensors. Default: as stored. */
  readonly dtype?: FloatType | undefined;
  /** Of several sets of weights, such as fp16 or non_ema. */
  readonly variant?: string | undefined;
  /** Pipeline folder with the configs and the tokenizer of a checkpoint in one file. */
  readonly config?: string | undefined;
}

const check = optionsOf<ConvertOptions>({
  out: TEXT,
  dtype: { enum: ['float32', 'float16'] },
  variant: TEXT,
  config: TEXT,
});

export interface ConvertResult {
  /** safetensors files written; none when all the weights are safetensors already */
  readonly files: readonly string[];
  /** all networks are in one file */
  readonly isOneFile: boolean;
}

/**
 * Writes a model as safetensors: the PyTorch .bin weights of a folder, a checkpoint in one file as a folder, or the other
 * way round.
 * @param model folder of a pipeline or of one component; with `out` also a checkpoint, or an id of the hub
 * @throws UserError FILE_NOT_FOUND, FILE_INVALID, OUTPUT_EXISTS, ...
 */
export async function convert(model: string, options: ConvertOptions = {}): Promise<ConvertResult> {
  check('convert', options);
  const log = logOf(options),
    { out, dtype, variant, config, signal } = options;
  const isFolder = (await stat(model).catch(() => undefined))?.isDirectory() === true;
  if (!isFolder && out === undefined)
    throw new UserError(
      `${model}: no such folder; to convert a checkpoint or a model of the hub, say where to with --out`,
      { code: 'FILE_NOT_FOUND' },
    );
  if (config !== undefined && isFolder)
    throw new UserError(`--config: ${model} is a folder and has its configs; only a checkpoint in one file takes them`);
  const isOneFile = CHECKPOINTS.includes(extname(out ?? ''));
  if (isOneFile && !out?.endsWith('.safetensors'))
    throw new UserError(`--out: ${out}; a checkpoint is written as safetensors, let the name end in .safetensors`);
  stopIfAborted(signal, 'convert');
  if (out !== undefined && isOneFile)
    await outputPlace(out); // before long work
  else if (out !== undefined && resolve(out) !== resolve(model)) await requireNewFolder(out);
  const folder = await resolveModel(model, { log, config, variant, signal });
  if (out !== undefined && isOneFile) {
    await writeCheckpoint(folder, out, { dtype, log, variant });
    return { files: [out], isOneFile };
  }
  return { files: await convertFolder(folder, { out, dtype, variant, log }), isOneFile };
}
