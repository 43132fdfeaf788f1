/** Which noise level a training sample gets. */
import type { RandomStream } from '../../base/rng.js';

export abstract class Timesteps {
  /** @returns a whole number in [0, numTrainTimesteps) */
  abstract sample(numTrainTimesteps: number, stream: RandomStream): number;
}
