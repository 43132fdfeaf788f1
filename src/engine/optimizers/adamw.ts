import { inject } from 'inversify';
import { BETAS } from './betas.js';
import { OPTIMIZERS, Optimizer, type Update } from './optimizer.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { add, div, mul, sqrt, square, sub } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Loshchilov and Hutter, "Decoupled weight decay regularization", arXiv 1711.05101, algorithm 2; order of torch.optim.AdamW. */
@OPTIMIZERS.register()
export class AdamW extends Optimizer {
  static readonly options = {
    description: 'Adam with decoupled weight decay.',
    type: 'object',
    additionalProperties: false,
    properties: {
      lr: { type: 'number', minimum: 0, default: 1e-3, description: 'learning rate before schedules' },
      betas: {
        ...BETAS,
        default: [0.9, 0.999],
        description: 'decay of the two moment averages',
      },
      eps: {
        type: 'number',
        exclusiveMinimum: 0,
        default: 1e-8,
        description: 'added to the root of the second moment',
      },
      weight_decay: {
        type: 'number',
        minimum: 0,
        default: 1e-2,
        description: 'share of the weights removed per unit of learning rate',
      },
    },
  } as const satisfies OptionsSchema;
  readonly slots = ['exp_avg', 'exp_avg_sq'];
  readonly lr: number;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof AdamW.options>) {
    super();
    this.lr = opts.lr;
  }

  /** [1 - lr * weight_decay, lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t)], in float64 before they become float32. */
  hyper(step: number, lr: number): readonly number[] {
    const [beta1, beta2] = this.opts.betas;
    return [1 - lr * this.opts.weight_decay, lr / (1 - beta1 ** step), 1 / Math.sqrt(1 - beta2 ** step)];
  }

  override update(
    param: Tensor,
    grad: Tensor,
    [m, v]: readonly Tensor[],
    [decay, stepSize, scale2]: readonly Tensor[],
  ): Update {
    const [beta1, beta2] = this.opts.betas;
    const m2 = add(m, mul(sub(grad, m), 1 - beta1));
    const v2 = add(mul(v, beta2), mul(square(grad), 1 - beta2));
    const denominator = add(mul(sqrt(v2), scale2), this.opts.eps);
    return { param: sub(mul(param, decay), div(mul(m2, stepSize), denominator)), slots: [m2, v2] };
  }
}

declare module '../../registry/kinds.js' {
  interface OptimizerMap {
    AdamW: typeof AdamW;
  }
}
