/** What is asked of whatever draws. */
/** Which values the trainable parameters take in a program. */
export type WeightSet = 'current' | 'ema' | 'base';

export interface SampleRequest {
  readonly prompts: readonly string[];
  /** one per prompt, or one for all; default '' */
  readonly negative_prompt?: string | readonly string[];
  /** one whole number per prompt: the same seed gives the same picture */
  readonly seeds: readonly number[];
  readonly steps: number;
  /** classifier-free guidance; 1 or less runs without */
  readonly guidance_scale: number;
  /** 0, the default, to 1: how far the spread of a guided prediction is drawn back to that of the positive one */
  readonly guidance_rescale?: number;
  /** pixels, multiples of 8 */
  readonly height: number;
  readonly width: number;
  /** scheduler class name; default the pipeline's own */
  readonly scheduler?: string;
  readonly weights?: WeightSet;
  readonly onStep?: (done: number, total: number) => void;
  /** Stops between steps. */
  readonly signal?: AbortSignal;
}
