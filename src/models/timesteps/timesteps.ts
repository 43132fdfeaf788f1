/** Which noise level a training sample gets. */
import { Registry } from '../../registry/registry.js';
import type { RandomStream } from '../../base/rng.js';

export abstract class Timesteps {
  /** @returns a whole number in [0, numTrainTimesteps) */
  abstract sample(numTrainTimesteps: number, stream: RandomStream): number;
}

export const TIMESTEPS = new Registry<Timesteps>('TIMESTEPS', 'timesteps generator');
