/** What a program in a browser asks of an exported pipeline. */
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { PICTURE_SIDE } from '../registry/picture-side.js';
import { checkOptions, suggestion } from '../registry/validate.js';
import { SCHEDULERS } from '../sampling/schedulers/scheduler.js';
import type { Tree } from '../registry/merge.js';
import type { OnnxRuntime } from './runtime.js';

export interface OnnxPipelineOptions {
  /** `import * as ort from 'onnxruntime-web'`, or its `onnxruntime-web/webgpu`. */
  readonly ort: OnnxRuntime;
  /** What computes, the first that works: `['webgpu', 'wasm']`. Default `['wasm']`. */
  readonly executionProviders?: readonly string[] | undefined;
  /** Further options of `ort.InferenceSession.create`. */
  readonly sessionOptions?: object | undefined;
  /** Called before a network is read and opened: `text_encoder`, `unet`, `vae_decoder`. */
  readonly onLoad?: ((network: string) => void) | undefined;
  readonly log?: Logger | undefined;
  /** Stops downloads. */
  readonly signal?: AbortSignal | undefined;
}

export interface BrowserDrawOptions {
  readonly prompt: string;
  /** What should not be in the picture. Default ''. */
  readonly negativePrompt?: string | undefined;
  /** A whole number from 0; the same picture as in Node, but for rounding. Default 0. */
  readonly seed?: number | undefined;
  /** Denoising steps, from 1. Default 50. */
  readonly steps?: number | undefined;
  /** Classifier-free guidance; 1 or less runs without, twice as fast. Default 7.5. */
  readonly guidanceScale?: number | undefined;
  /** Pixels. Default: the model's own size. */
  readonly width?: number | undefined;
  /** Pixels. Default: the model's own size. */
  readonly height?: number | undefined;
  /** Name of a sampler, such as `DDIMScheduler`. Default: the model's own. */
  readonly scheduler?: string | undefined;
  /** Called after each step. */
  readonly onStep?: ((done: number, total: number) => void) | undefined;
  /** Stops between two steps. */
  readonly signal?: AbortSignal | undefined;
}

/** What multiple it must be, the exported files say. */
const SIDE = { type: 'integer', minimum: PICTURE_SIDE.minimum, maximum: PICTURE_SIDE.maximum };
const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['prompt'],
  properties: {
    prompt: { type: 'string' },
    negativePrompt: { type: 'string' },
    seed: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    steps: { type: 'integer', minimum: 1 },
    guidanceScale: { type: 'number' },
    width: SIDE,
    height: SIDE,
    scheduler: { type: 'string' },
  },
};

/** @throws UserError listing every mistake */
export function checkBrowserDraw(options: BrowserDrawOptions): void {
  const { signal: _signal, onStep: _onStep, ...data } = options;
  const given = Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined));
  checkOptions(given as Tree, SCHEMA, 'draw');
  const { scheduler } = data;
  if (scheduler !== undefined && !SCHEDULERS.get(scheduler))
    throw new UserError(`draw.scheduler: no scheduler "${scheduler}"${suggestion(scheduler, SCHEDULERS.names())}`);
}
