import { inject } from 'inversify';
import { LR_SCHEDULES, LrSchedule, position, rangeProperties } from './lr-schedule.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';

@LR_SCHEDULES.register()
export class ConstantLR extends LrSchedule {
  static readonly options = {
    description: 'The learning rate times a factor until the last iteration before `end`, the full rate from there.',
    type: 'object',
    additionalProperties: false,
    properties: {
      factor: {
        type: 'number',
        exclusiveMinimum: 0,
        maximum: 1,
        default: 1 / 3,
        description: 'share of the learning rate',
      },
      ...rangeProperties,
    },
  } as const satisfies OptionsSchema;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof ConstantLR.options>) {
    super();
  }

  override factor(iteration: number, maxIters: number): number {
    const at = position(this.opts, iteration, maxIters);
    // mmengine restores the rate at the last iteration of the range; without `end` there is nothing to restore for
    if (!at || (this.opts.end !== undefined && at.t === at.last)) return 1;
    return this.opts.factor;
  }
}

declare module '../../registry/kinds.js' {
  interface LrScheduleMap {
    ConstantLR: typeof ConstantLR;
  }
}
