/** The noise that is added to latents in training. */
import type { RandomStream } from '../../base/rng.js';
import type { Shape } from '../../tensor/host.js';

export abstract class Noise {
  /** @param shape [C, h, w] of one sample @returns C * h * w values */
  abstract sample(shape: Shape, stream: RandomStream): Float32Array;
}
