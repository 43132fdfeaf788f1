import { inject } from 'inversify';
import { UserError } from '../../base/errors.js';
import type { RandomStream } from '../../base/rng.js';
import { TIMESTEPS, Timesteps } from './timesteps.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { biasedTimestep, biasProperties } from './biased.js';

@TIMESTEPS.register()
export class RangeTimeSteps extends Timesteps {
  static readonly options = {
    description: 'Prefers a range: timesteps between two shares of the whole are likelier.',
    type: 'object',
    additionalProperties: false,
    properties: {
      bias_multiplier: biasProperties.bias_multiplier,
      bias_begin: {
        type: 'number',
        minimum: 0,
        maximum: 1,
        default: 0.25,
        description: 'where the range begins, as a share of the timesteps',
      },
      bias_end: {
        type: 'number',
        minimum: 0,
        maximum: 1,
        default: 0.75,
        description: 'where the range ends, as a share of the timesteps',
      },
    },
  } as const satisfies OptionsSchema;

  /** @throws UserError for an empty range */
  constructor(@inject(OPTIONS) private readonly opts: Output<typeof RangeTimeSteps.options>) {
    super();
    if (opts.bias_begin >= opts.bias_end) {
      throw new UserError(
        `timesteps_generator: bias_begin ${opts.bias_begin} is not below bias_end ${opts.bias_end}; swap or widen them`,
      );
    }
  }

  sample(total: number, stream: RandomStream): number {
    const { bias_multiplier, bias_begin, bias_end } = this.opts;
    return biasedTimestep(total, Math.floor(bias_begin * total), Math.floor(bias_end * total), bias_multiplier, stream);
  }
}

declare module '../../registry/kinds.js' {
  interface TimestepsMap {
    RangeTimeSteps: typeof RangeTimeSteps;
  }
}
