import { inject } from 'inversify';
import { LR_SCHEDULES, LrSchedule, position, rangeProperties } from './lr-schedule.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';

@LR_SCHEDULES.register()
export class LinearLR extends LrSchedule {
  static readonly options = {
    description: 'A straight line from one factor to another, for warm-up or decay.',
    type: 'object',
    additionalProperties: false,
    properties: {
      start_factor: {
        type: 'number',
        exclusiveMinimum: 0,
        maximum: 1,
        default: 1 / 3,
        description: 'factor in the first iteration',
      },
      end_factor: {
        type: 'number',
        minimum: 0,
        maximum: 1,
        default: 1,
        description: 'factor in the last iteration before `end`, and after it',
      },
      ...rangeProperties,
    },
  } as const satisfies OptionsSchema;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof LinearLR.options>) {
    super();
  }

  override factor(iteration: number, maxIters: number): number {
    const at = position(this.opts, iteration, maxIters);
    if (!at) return 1;
    const { start_factor: start, end_factor: end } = this.opts;
    return at.last === 0 ? start : start + ((end - start) * at.t) / at.last;
  }
}

declare module '../../registry/kinds.js' {
  interface LrScheduleMap {
    LinearLR: typeof LinearLR;
  }
}
