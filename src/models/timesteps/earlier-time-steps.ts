import { inject } from 'inversify';
import type { RandomStream } from '../../base/rng.js';
import { TIMESTEPS, Timesteps } from './timesteps.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { biasedTimestep, biasProperties } from './biased.js';

@TIMESTEPS.register()
export class EarlierTimeSteps extends Timesteps {
  static readonly options = {
    description: 'Prefers little noise: the first part of the timesteps is likelier.',
    type: 'object',
    additionalProperties: false,
    properties: biasProperties,
  } as const satisfies OptionsSchema;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof EarlierTimeSteps.options>) {
    super();
  }

  sample(total: number, stream: RandomStream): number {
    const { bias_multiplier, bias_portion } = this.opts;
    return biasedTimestep(total, 0, Math.floor(bias_portion * total), bias_multiplier, stream);
  }
}

declare module '../../registry/kinds.js' {
  interface TimestepsMap {
    EarlierTimeSteps: typeof EarlierTimeSteps;
  }
}
