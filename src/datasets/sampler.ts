import { Registry } from '../registry/registry.js';
import type { Rng } from '../base/rng.js';
import type { Shape } from '../tensor/host.js';

/**
 * Decides which picture comes when. Stateless: the order is a function of the position, so a run can resume anywhere
 * without replaying or saving anything.
 */
export abstract class Sampler {
  /**
   * For one that groups pictures: called once, before `indexAt`.
   * @param shapes of each picture after its pipeline, [3, H, W]  @param batchSize positions n * batchSize and on make batch n
   */
  arrange?(shapes: readonly Shape[], batchSize: number): void;
  /**
   * @param position whole number >= 0, counted from the start of the run over all epochs
   * @param length pictures in the dataset
   * @returns an index, 0 <= index < length
   */
  abstract indexAt(position: number, length: number, rng: Rng): number;
}

export const SAMPLERS = new Registry<Sampler>('SAMPLERS', 'sampler');
