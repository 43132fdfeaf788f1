import { loadComponents } from '../components.js';
import { buildBackend } from '../engine/build-backend.js';
import { stopIfAborted } from '../base/errors.js';
import { watchPhases } from '../engine/phase-watch.js';
import { Phases, timed } from '../engine/phases.js';
import type { Drawing } from '../sampling/check-drawings.js';
import { Renderer } from '../sampling/renderer.js';
import { COMPONENT, logOf, optionsOf, type CallOptions } from './call-options.js';
import { Pipeline } from './pipeline.js';

export interface LoadPipelineOptions extends CallOptions {
  /** What computes: a name such as `onnxruntime`, or `{ type, ...options }`. Default: OnnxRuntimeBackend on the CPU. */
  readonly backend?: string | object | undefined;
}

const check = optionsOf<LoadPipelineOptions>({ backend: COMPONENT });

/**
 * Opens a Stable Diffusion pipeline to draw with. Dispose of it, or the process keeps its memory.
 * @param idOrPath folder in diffusers' layout, or an id of the hub such as `segmind/small-sd`, which is downloaded once
 * @throws UserError FILE_NOT_FOUND, FILE_INVALID, DOWNLOAD_FAILED, BACKEND_UNAVAILABLE, INTERRUPTED, ...
 */
export function loadPipeline(idOrPath: string, options: LoadPipelineOptions = {}): Promise<Pipeline> {
  return openToDraw(idOrPath, options);
}

/** @param drawing what it will be asked, so that what cannot be drawn is told before the weights are read */
export async function openToDraw(idOrPath: string, options: LoadPipelineOptions, drawing?: Drawing): Promise<Pipeline> {
  check('loadPipeline', options);
  const log = logOf(options),
    { signal } = options;
  stopIfAborted(signal, 'loadPipeline');
  await loadComponents();
  const phases = new Phases(),
    backend = timed(buildBackend(options.backend, log), phases),
    unwatch = watchPhases(phases, log);
  const close = (): Promise<void> => {
    unwatch();
    return backend.dispose();
  };
  try {
    const open = () => Renderer.open(idOrPath, [], backend, log, { drawing, signal });
    return new Pipeline(await phases.measure('open', open), close);
  } catch (error) {
    await close();
    throw error;
  }
}
