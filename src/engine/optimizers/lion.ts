import { inject } from 'inversify';
import { BETAS } from './betas.js';
import { OPTIMIZERS, Optimizer, type Update } from './optimizer.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { add, mul, sign, sub } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Chen et al., "Symbolic discovery of optimization algorithms", arXiv 2302.06675, algorithm 2; options as in lion-pytorch. */
@OPTIMIZERS.register()
export class Lion extends Optimizer {
  static readonly options = {
    description:
      'Steps of one size, by the sign of a momentum: half the state of AdamW. Takes a third to a tenth of its lr.',
    type: 'object',
    additionalProperties: false,
    properties: {
      lr: { type: 'number', minimum: 0, default: 1e-4, description: 'learning rate before schedules' },
      betas: {
        ...BETAS,
        default: [0.9, 0.99],
        description: 'weight of the momentum in a step, and its decay from step to step',
      },
      weight_decay: {
        type: 'number',
        minimum: 0,
        default: 0,
        description: 'share of the weights removed per unit of learning rate',
      },
    },
  } as const satisfies OptionsSchema;
  readonly slots = ['exp_avg'];
  readonly lr: number;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof Lion.options>) {
    super();
    this.lr = opts.lr;
  }

  /** [1 - lr * weight_decay, lr] */
  hyper(_step: number, lr: number): readonly number[] {
    return [1 - lr * this.opts.weight_decay, lr];
  }

  override update(param: Tensor, grad: Tensor, [m]: readonly Tensor[], [decay, lr]: readonly Tensor[]): Update {
    const [beta1, beta2] = this.opts.betas;
    const direction = sign(add(mul(m, beta1), mul(grad, 1 - beta1)));
    return {
      param: sub(mul(param, decay), mul(direction, lr)),
      slots: [add(mul(m, beta2), mul(grad, 1 - beta2))],
    };
  }
}

declare module '../../registry/kinds.js' {
  interface OptimizerMap {
    Lion: typeof Lion;
  }
}
