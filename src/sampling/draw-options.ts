/** How a program asks for a picture: in Node, in a browser, in an evaluation. */
import { UserError } from '../base/errors.js';
import { GUIDANCE_RESCALE } from '../registry/guidance-rescale.js';
import { PICTURE_SIDE } from '../registry/picture-side.js';
import { suggestion } from '../registry/validate.js';
import { SCHEDULERS } from './schedulers/scheduler.js';

export interface DrawOptions {
  /** What to draw. Of more than 77 tokens the end is cut off, with a warning in the log. */
  readonly prompt: string;
  /** What should not be in the picture. Default ''. */
  readonly negativePrompt?: string | undefined;
  /** A whole number from 0; equal seeds give equal pictures, in a browser but for rounding. Default 0. */
  readonly seed?: number | undefined;
  /** Denoising steps, from 1. Default 50. */
  readonly steps?: number | undefined;
  /** Classifier-free guidance (Ho and Salimans, arXiv 2207.12598); 1 or less runs without, twice as fast. Default 7.5. */
  readonly guidanceScale?: number | undefined;
  /**
   * 0 to 1: how far the spread of a guided prediction is drawn back to that of the unguided one, against pictures that
   * guidance makes too bright or too dark (Lin et al., arXiv 2305.08891). For models with zero-terminal SNR, 0.7. Default 0.
   */
  readonly guidanceRescale?: number | undefined;
  /** Pixels, a multiple of 8. Default: the model's own size. */
  readonly height?: number | undefined;
  /** Pixels, a multiple of 8. Default: the model's own size. */
  readonly width?: number | undefined;
  /** Name of a sampler, such as `DDIMScheduler`. Default: the model's own. */
  readonly scheduler?: string | undefined;
  /** Called after each step. @param done steps so far @param total of this picture */
  readonly onStep?: ((done: number, total: number) => void) | undefined;
  /** Stops between two steps. */
  readonly signal?: AbortSignal | undefined;
}

/** Schemas of what is data of them. */
export const DRAW_OPTIONS = {
  prompt: { type: 'string' },
  negativePrompt: { type: 'string' },
  seed: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
  steps: { type: 'integer', minimum: 1 },
  guidanceScale: { type: 'number' },
  guidanceRescale: GUIDANCE_RESCALE,
  height: PICTURE_SIDE,
  width: PICTURE_SIDE,
  scheduler: { type: 'string' },
} as const;

/** What their schemas cannot say. @throws UserError naming the option */
export function checkDrawOptions({ scheduler, onStep }: DrawOptions): void {
  if (onStep !== undefined && typeof onStep !== 'function')
    throw new UserError(`draw.onStep: ${String(onStep)} is no function`);
  if (scheduler !== undefined && !SCHEDULERS.get(scheduler))
    throw new UserError(`draw.scheduler: no scheduler "${scheduler}"${suggestion(scheduler, SCHEDULERS.names())}`);
}
