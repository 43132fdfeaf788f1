import { inject } from 'inversify';
import { LR_SCHEDULES, LrSchedule, position, rangeProperties } from './lr-schedule.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';

/** Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", arXiv 1608.03983, equation 5. */
@LR_SCHEDULES.register()
export class CosineAnnealingLR extends LrSchedule {
  static readonly options = {
    description: 'Half a cosine wave from the full learning rate down to `eta_min` in T_max iterations.',
    type: 'object',
    additionalProperties: false,
    properties: {
      T_max: {
        type: 'integer',
        minimum: 1,
        description: 'iterations from top to bottom. Default: the length of the range',
      },
      eta_min: { type: 'number', minimum: 0, default: 0, description: 'the lowest learning rate' },
      ...rangeProperties,
    },
  } as const satisfies OptionsSchema;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof CosineAnnealingLR.options>) {
    super();
  }

  override factor(iteration: number, maxIters: number, baseLr: number): number {
    const at = position(this.opts, iteration, maxIters);
    if (!at || baseLr === 0) return 1;
    const period = this.opts.T_max ?? at.last + 1;
    const lowest = this.opts.eta_min / baseLr;
    return lowest + ((1 - lowest) * (1 + Math.cos((Math.PI * at.t) / period))) / 2;
  }
}

declare module '../../registry/kinds.js' {
  interface LrScheduleMap {
    CosineAnnealingLR: typeof CosineAnnealingLR;
  }
}
