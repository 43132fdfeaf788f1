import { loadComponents } from '../components.js';
import { requireNewFolder } from '../base/atomic-folder.js';
import { stopIfAborted, UserError } from '../base/errors.js';
import { checkpointPath } from '../engine/checkpoint-path.js';
import { resolveModel } from '../formats/hub/hub.js';
import { openPipeline } from '../formats/pipeline/pipeline-folder.js';
import { writeOnnx, type OnnxFile } from '../sampling/onnx/write-onnx.js';
import type { OnnxDtype } from '../sampling/onnx/weight-store.js';
import { trainedNetworks, type Trained } from '../sampling/trained-networks.js';
import { logOf, optionsOf, TEXT, type CallOptions } from './call-options.js';

export interface ExportOnnxOptions extends CallOptions {
  /** New folder. */
  readonly out: string;
  /** Checkpoint or work dir of a run, or an adapter of PEFT, diffusers or kohya, whose changes go into the weights. */
  readonly adapter?: string | undefined;
  /** Multiplies what the adapter changes; 1 as trained. Default 1. */
  readonly scale?: number | undefined;
  /**
   * How weights are stored; what is computed stays float32. float16 halves the files, int8 takes a quarter and changes the
   * pictures a little. Default float32.
   */
  readonly dtype?: OnnxDtype | undefined;
}

export interface ExportOnnxResult {
  readonly out: string;
  readonly files: readonly OnnxFile[];
}

const check = optionsOf<ExportOnnxOptions>(
  { out: TEXT, adapter: TEXT, scale: { type: 'number' }, dtype: { enum: ['float32', 'float16', 'int8'] } },
  ['out'],
);

/**
 * Writes a pipeline as ONNX files that Optimum, diffusers' ONNX pipelines and ONNX Runtime in a browser open.
 * @param pipeline a folder in diffusers' layout, a checkpoint in one file, or an id of the hub
 * @throws UserError FILE_NOT_FOUND, FILE_INVALID, MODEL_MISMATCH, OUTPUT_EXISTS, ...
 */
export async function exportOnnx(pipeline: string, options: ExportOnnxOptions): Promise<ExportOnnxResult> {
  check('exportOnnx', options);
  const { out, adapter, scale, dtype = 'float32', signal } = options,
    log = logOf(options);
  if (adapter === undefined && scale !== undefined)
    throw new UserError(`exportOnnx.scale: ${scale}, and there is no adapter; give one, or leave scale out`);
  stopIfAborted(signal, 'exportOnnx');
  await requireNewFolder(out); // before long work
  await loadComponents();
  const folder = await openPipeline(await resolveModel(pipeline, { log, signal }), log);
  const trained: Trained[] = adapter === undefined ? [] : [{ path: await checkpointPath(adapter), scale: scale ?? 1 }];
  const networks = await trainedNetworks(folder, pipeline, trained);
  return { out, files: await writeOnnx(folder, networks, { out, dtype, model: pipeline, log, signal }) };
}
