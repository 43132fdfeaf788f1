/** What a program in a browser asks of an exported pipeline. */
import type { Logger } from '../base/logger.js';
import { PICTURE_SIDE } from '../registry/picture-side.js';
import { checkOptions } from '../registry/validate.js';
import { checkDrawOptions, DRAW_OPTIONS, type DrawOptions } from '../sampling/draw-options.js';
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

/** As in Node. */
export type BrowserDrawOptions = DrawOptions;

/** What multiple it must be, the exported files say. */
const SIDE = { type: 'integer', minimum: PICTURE_SIDE.minimum, maximum: PICTURE_SIDE.maximum };
const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['prompt'],
  properties: { ...DRAW_OPTIONS, width: SIDE, height: SIDE },
};

/** @throws UserError listing every mistake */
export function checkBrowserDraw(options: BrowserDrawOptions): void {
  const { signal: _signal, onStep: _onStep, ...data } = options;
  const given = Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined));
  checkOptions(given as Tree, SCHEMA, 'draw');
  checkDrawOptions(options);
}
