import { Registry } from '../registry/registry.js';
import type { Rng } from '../base/rng.js';

/**
 * Decides which picture comes when. Stateless: the order is a function of the position, so a run can resume anywhere
 * without replaying or saving anything.
 */
export abstract class Sampler {
  /**
   * @param position whole number >= 0, counted from the start of the run over all epochs
   * @param length pictures in the dataset
   * @returns an index, 0 <= index < length
   */
  abstract indexAt(position: number, length: number, rng: Rng): number;
}

export const SAMPLERS = new Registry<Sampler>('SAMPLERS', 'sampler');
