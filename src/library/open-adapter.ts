/** A pipeline and an adapter that fits it, for what writes files of both. */
import { loadAdapterFor, refuseWholeNetworks, type FittedAdapter } from '../adapters/load-adapter.js';
import { stopIfAborted } from '../base/errors.js';
import { checkpointPath } from '../engine/checkpoint-path.js';
import { resolveModel } from '../formats/hub/hub.js';
import { trainedPrediction } from '../formats/pipeline/trained-prediction.js';
import { openPipeline, type PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { logOf, type CallOptions } from './call-options.js';

/** How many modules of each network an adapter changes. */
export interface AdaptedModules {
  readonly unet: number;
  readonly text_encoder: number;
}

/** @param adapter checkpoint or work dir of a run, or an adapter of PEFT, diffusers or kohya */
export async function openAdapter(
  pipeline: string,
  adapter: string,
  options: CallOptions,
  where: string,
): Promise<{
  base: PipelineFolder;
  fitted: FittedAdapter;
  modules: AdaptedModules;
  /** what it was trained to predict, where that is not what the base's scheduler says */
  prediction: string | undefined;
}> {
  const log = logOf(options);
  stopIfAborted(options.signal, where);
  const path = await checkpointPath(adapter);
  await refuseWholeNetworks(path);
  const base = await openPipeline(await resolveModel(pipeline, { log, signal: options.signal }), log);
  const fitted = await loadAdapterFor(base, pipeline, path);
  stopIfAborted(options.signal, where);
  const { unet, text_encoder: text } = fitted.values;
  const prediction = await trainedPrediction(path);
  return { base, fitted, modules: { unet: unet?.size ?? 0, text_encoder: text?.size ?? 0 }, prediction };
}
