/** The noise that is added to latents in training. */
import { Registry } from '../../registry/registry.js';
import type { RandomStream } from '../../base/rng.js';
import type { Shape } from '../../tensor/host.js';

export abstract class Noise {
  /** @param shape [C, h, w] of one sample @returns C * h * w values */
  abstract sample(shape: Shape, stream: RandomStream): Float32Array;
}

export const NOISE = new Registry<Noise>('NOISE', 'noise');
