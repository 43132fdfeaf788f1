import type { RandomStream } from '../../base/rng.js';
import { TIMESTEPS, Timesteps } from './timesteps.js';
import type { OptionsSchema } from '../../registry/schema.js';

@TIMESTEPS.register()
export class TimeSteps extends Timesteps {
  static readonly options = {
    description: 'All noise levels alike.',
    type: 'object',
    additionalProperties: false,
    properties: {},
  } as const satisfies OptionsSchema;

  sample(numTrainTimesteps: number, stream: RandomStream): number {
    return stream.int(0, numTrainTimesteps);
  }
}

declare module '../../registry/kinds.js' {
  interface TimestepsMap {
    TimeSteps: typeof TimeSteps;
  }
}
