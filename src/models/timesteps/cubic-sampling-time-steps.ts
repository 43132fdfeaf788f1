import type { RandomStream } from '../../base/rng.js';
import { TIMESTEPS, Timesteps } from './timesteps.js';
import type { OptionsSchema } from '../../registry/schema.js';

/** Mou et al., "T2I-Adapter", arXiv 2302.08453, section 3.4. */
@TIMESTEPS.register()
export class CubicSamplingTimeSteps extends Timesteps {
  static readonly options = {
    description: 'Prefers much noise: (1 - u^3) of the timesteps, u uniform.',
    type: 'object',
    additionalProperties: false,
    properties: {},
  } as const satisfies OptionsSchema;

  sample(numTrainTimesteps: number, stream: RandomStream): number {
    return Math.min(numTrainTimesteps - 1, Math.floor((1 - stream.uniform() ** 3) * numTrainTimesteps));
  }
}

declare module '../../registry/kinds.js' {
  interface TimestepsMap {
    CubicSamplingTimeSteps: typeof CubicSamplingTimeSteps;
  }
}
