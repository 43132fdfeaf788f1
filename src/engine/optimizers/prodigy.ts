import { inject } from 'inversify';
import { BETAS } from './betas.js';
import { OPTIMIZERS, Optimizer, type OwnState, type Part, type WholeUpdate } from './optimizer.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { abs, add, div, lessOrEqual, maximum, minimum, mul, sqrt, square, sub, sum } from '../../tensor/ops.js';
import { fill, type Tensor } from '../../tensor/tensor.js';

/** Below it a sum of magnitudes is zero: the smallest normal float32. */
const NOTHING = 2 ** -126;

/** Mishchenko and Defazio, "Prodigy", arXiv 2306.06101, algorithm 4; options as in prodigyopt. */
@OPTIMIZERS.register()
export class Prodigy extends Optimizer {
  static readonly options = {
    description: 'Adam that finds its own step size: leave lr at 1. Twice the state of AdamW.',
    type: 'object',
    additionalProperties: false,
    properties: {
      lr: { type: 'number', minimum: 0, default: 1, description: 'factor of the step size that is found' },
      betas: {
        ...BETAS,
        default: [0.9, 0.999],
        description: 'decay of the two moment averages',
      },
      beta3: {
        type: ['number', 'null'],
        minimum: 0,
        exclusiveMaximum: 1,
        default: null,
        description: 'decay of the averages that the step size comes from; null: the root of the second of betas',
      },
      eps: {
        type: 'number',
        exclusiveMinimum: 0,
        default: 1e-8,
        description: 'added to the root of the second moment',
      },
      weight_decay: { type: 'number', minimum: 0, default: 0, description: 'pull of the weights to zero' },
      decouple: {
        type: 'boolean',
        default: true,
        description: 'weight decay as in AdamW; false: as a part of the gradient',
      },
      use_bias_correction: {
        type: 'boolean',
        default: false,
        description: "corrects the averages' start as Adam does",
      },
      safeguard_warmup: {
        type: 'boolean',
        default: false,
        description:
          'keeps the learning rate out of the averages that the step size comes from, for schedules that warm up',
      },
      d0: { type: 'number', exclusiveMinimum: 0, default: 1e-6, description: 'step size at the start' },
      d_coef: { type: 'number', exclusiveMinimum: 0, default: 1, description: 'factor of each new estimate' },
      growth_rate: {
        type: ['number', 'null'],
        minimum: 1,
        default: null,
        description: 'most that the step size grows by in an update, e.g. 1.02; null: any',
      },
    },
  } as const satisfies OptionsSchema;
  readonly slots = ['exp_avg', 'exp_avg_sq', 's', 'p0'];
  override readonly copies = ['p0'];
  readonly lr: number;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof Prodigy.options>) {
    super();
    this.lr = opts.lr;
  }

  override own(): readonly OwnState[] {
    const { d0 } = this.opts;
    return [
      { name: 'd', shape: [], start: d0 },
      { name: 'd_max', shape: [], start: d0 },
      { name: 'd_numerator', shape: [], start: 0 },
    ];
  }

  /** [learning rate with the correction of the averages] */
  hyper(step: number, lr: number): readonly number[] {
    const [beta1, beta2] = this.opts.betas;
    return [this.opts.use_bias_correction ? (lr * Math.sqrt(1 - beta2 ** step)) / (1 - beta1 ** step) : lr];
  }

  override updateAll(parts: readonly Part[], [lr]: readonly Tensor[], own: readonly Tensor[]): WholeUpdate {
    const { betas, beta3, eps, weight_decay, decouple, safeguard_warmup, d0, d_coef, growth_rate } = this.opts;
    const [beta1, beta2] = betas,
      decay3 = beta3 ?? Math.sqrt(beta2);
    const [d, dMax, numerator] = own,
      dlr = mul(d, lr),
      share = div(d, d0);
    const averaged = parts.map(({ param, grad, slots: [m, v, s, p0] }) => {
      const g = weight_decay > 0 && !decouple ? add(grad, mul(param, weight_decay)) : grad;
      return {
        param,
        p0,
        towards: sum(mul(g, sub(p0, param))),
        m: add(mul(m, beta1), mul(g, mul(d, 1 - beta1))),
        v: add(mul(v, beta2), mul(square(g), mul(square(d), 1 - beta2))),
        s: add(mul(s, decay3), mul(g, mul(share, safeguard_warmup ? d : dlr))),
      };
    });
    const total = (values: readonly Tensor[]): Tensor => values.reduce((a, b) => add(a, b), fill(0, []));
    const numeratorNext = add(
      mul(numerator, decay3),
      mul(mul(share, dlr), total(averaged.map(({ towards }) => towards))),
    );
    const denominator = total(averaged.map(({ s }) => sum(abs(s))));
    const estimate = mul(div(numeratorNext, maximum(denominator, NOTHING)), d_coef);
    const dMaxNext = maximum(dMax, estimate);
    const dNext = growth_rate === null ? dMaxNext : minimum(dMaxNext, mul(this.first(d, estimate), growth_rate));
    return {
      parts: averaged.map(({ param, p0, m, v, s }) => {
        const kept = weight_decay > 0 && decouple ? add(param, mul(param, mul(dlr, -weight_decay))) : param;
        const step = div(mul(m, dlr), add(sqrt(v), mul(dNext, eps)));
        return { param: sub(kept, step), slots: [m, v, s, p0] };
      }),
      own: [dNext, dMaxNext, numeratorNext],
      logs: { d: dNext },
    };
  }

  /** The first estimates replace d0 at once: d is never below it. */
  private first(d: Tensor, estimate: Tensor): Tensor {
    const atStart = lessOrEqual(d, Math.fround(this.opts.d0));
    return add(d, mul(atStart, sub(maximum(d, estimate), d)));
  }
}

declare module '../../registry/kinds.js' {
  interface OptimizerMap {
    Prodigy: typeof Prodigy;
  }
}
