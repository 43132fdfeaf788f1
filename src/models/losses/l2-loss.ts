import { inject } from 'inversify';
import { LOSSES, Loss } from './loss.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { mean, mul, square, sub } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Mean over all elements of weight * squared error, times `loss_weight`. */
export function weightedMse(prediction: Tensor, target: Tensor, weight: Tensor, lossWeight: number): Tensor {
  const perSample = mean(square(sub(prediction, target)), prediction.shape.map((_, i) => i).slice(1));
  return mul(mean(mul(perSample, weight)), lossWeight);
}

@LOSSES.register()
export class L2Loss extends Loss {
  static readonly options = {
    description: 'Mean squared error.',
    type: 'object',
    additionalProperties: false,
    properties: { loss_weight: { type: 'number', default: 1, description: 'factor of the whole loss' } },
  } as const satisfies OptionsSchema;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof L2Loss.options>) {
    super();
  }

  apply(prediction: Tensor, target: Tensor, weight: Tensor): Tensor {
    return weightedMse(prediction, target, weight, this.opts.loss_weight);
  }
}

declare module '../../registry/kinds.js' {
  interface LossMap {
    L2Loss: typeof L2Loss;
  }
}
