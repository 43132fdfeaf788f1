import { inject } from 'inversify';
import { UserError } from '../../base/errors.js';
import { OPTIMIZERS, Optimizer, type OwnState, type Part, type WholeUpdate } from './optimizer.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { sizeOf, type Shape } from '../../tensor/host.js';
import { add, concat, div, maximum, mean, mul, narrow, reshape, sqrt, square, sub } from '../../tensor/ops.js';
import { fill, type Tensor } from '../../tensor/tensor.js';
import type { Bucket } from '../parameters.js';

/** Shazeer and Stern, "Adafactor", arXiv 1804.04235; options, and which axes are factored, as in transformers. */
@OPTIMIZERS.register()
export class Adafactor extends Optimizer {
  static readonly options = {
    description:
      'Keeps second moments by rows and columns: next to no state. Finds its step from the size of the weights.',
    type: 'object',
    additionalProperties: false,
    properties: {
      lr: {
        type: ['number', 'null'],
        minimum: 0,
        default: null,
        description: 'learning rate before schedules; null: one that falls with the iterations (relative_step)',
      },
      eps: {
        type: 'array',
        items: { type: 'number', minimum: 0 },
        minItems: 2,
        maxItems: 2,
        default: [1e-30, 1e-3],
        description: 'added to the squared gradient; least size of a weight for scale_parameter',
      },
      clip_threshold: {
        type: 'number',
        exclusiveMinimum: 0,
        default: 1,
        description: 'root mean square that the update of a parameter is scaled down to',
      },
      decay_rate: { type: 'number', maximum: 0, default: -0.8, description: 'exponent of the decay of second moments' },
      beta1: {
        type: ['number', 'null'],
        minimum: 0,
        exclusiveMaximum: 1,
        default: null,
        description: 'decay of an average of updates; null: none, which saves its memory',
      },
      weight_decay: {
        type: 'number',
        minimum: 0,
        default: 0,
        description: 'share of the weights removed per unit of learning rate',
      },
      scale_parameter: {
        type: 'boolean',
        default: true,
        description: 'multiplies the learning rate by the root mean square of the weights',
      },
      relative_step: {
        type: 'boolean',
        default: true,
        description: 'learning rate of min(0.01, 1 / sqrt(step)); needs lr: null',
      },
      warmup_init: {
        type: 'boolean',
        default: false,
        description: 'with relative_step: begins at 1e-6 times the step instead of 0.01',
      },
    },
  } as const satisfies OptionsSchema;
  readonly slots: readonly string[];
  readonly lr: number;

  /** @throws UserError for options that exclude each other */
  constructor(@inject(OPTIONS) private readonly opts: Output<typeof Adafactor.options>) {
    super();
    const { lr, relative_step, warmup_init, beta1 } = opts;
    const wrong =
      relative_step && lr !== null
        ? `lr: ${lr}, and relative_step finds a rate of its own; set relative_step: false, or lr: null`
        : !relative_step && lr === null
          ? 'lr: null, and relative_step is off; give a learning rate, e.g. 1e-3'
          : warmup_init && !relative_step
            ? 'warmup_init: true, and relative_step is off; set relative_step: true, or use a schedule'
            : undefined;
    if (wrong !== undefined) throw new UserError(`optim_wrapper.optimizer.${wrong}`, { code: 'CONFIG_INVALID' });
    this.lr = lr ?? 1;
    this.slots = beta1 === null ? [] : ['exp_avg'];
  }

  override own(buckets: readonly Bucket[]): readonly OwnState[] {
    const entries = buckets.flatMap((bucket) => bucket.entries);
    const total = (size: (shape: Shape) => number): number => entries.reduce((n, { shape }) => n + size(shape), 0);
    return [
      { name: 'exp_avg_sq_row', shape: [total((shape) => (isFactored(shape) ? sizeOf(rowsOf(shape)) : 0))], start: 0 },
      { name: 'exp_avg_sq_col', shape: [total((shape) => (isFactored(shape) ? sizeOf(colsOf(shape)) : 0))], start: 0 },
      { name: 'exp_avg_sq', shape: [total((shape) => (isFactored(shape) ? 0 : sizeOf(shape)))], start: 0 },
    ].filter(({ shape: [size] }) => size > 0);
  }

  /** [learning rate, 1 - decay of the second moments] */
  hyper(step: number, lr: number): readonly number[] {
    const { relative_step, warmup_init, decay_rate } = this.opts;
    const relative = relative_step ? Math.min(warmup_init ? 1e-6 * step : 1e-2, 1 / Math.sqrt(step)) : 1;
    return [lr * relative, step ** decay_rate];
  }

  override updateAll(parts: readonly Part[], hyper: readonly Tensor[], own: readonly Tensor[]): WholeUpdate {
    const states = this.own(parts.map(({ bucket }) => bucket));
    const ledger = new Map(states.map(({ name }, i) => [name, new Ledger(own[i])]));
    const updates = parts.map((part) => {
      const { bucket, slots } = part;
      const next = bucket.entries.map(({ shape, offset }) => {
        const at = (x: Tensor): Tensor => reshape(narrow(x, 0, offset, offset + sizeOf(shape)), shape);
        return this.one(at(part.param), at(part.grad), slots.map(at), hyper, ledger);
      });
      const rest = bucket.size - bucket.entries.reduce((n, { shape }) => n + sizeOf(shape), 0);
      const pack = (values: readonly Tensor[]): Tensor =>
        concat([...values.map(flat), ...(rest > 0 ? [fill(0, [rest])] : [])], 0);
      return {
        param: pack(next.map(({ param }) => param)),
        slots: slots.map((_, i) => pack(next.map((entry) => entry.slots[i]))),
      };
    });
    return { parts: updates, own: states.map(({ name }) => (ledger.get(name) as Ledger).next()) };
  }

  /** The update of one parameter, in its own shape. */
  private one(
    param: Tensor,
    grad: Tensor,
    slots: readonly Tensor[],
    [lr, fresh]: readonly Tensor[],
    ledger: ReadonlyMap<string, Ledger>,
  ): { param: Tensor; slots: readonly Tensor[] } {
    const { eps, clip_threshold, beta1, weight_decay, scale_parameter } = this.opts;
    const averaged = (name: string, shape: Shape, value: Tensor): Tensor =>
      (ledger.get(name) as Ledger).replace(shape, (old) => add(old, mul(sub(value, old), fresh)));
    const squared = add(square(grad), eps[0]),
      rank = param.shape.length;
    let update: Tensor;
    if (isFactored(param.shape)) {
      const keptRows = [...rowsOf(param.shape), 1],
        keptCols = [...param.shape.slice(0, -2), 1, param.shape[rank - 1]];
      const row = averaged('exp_avg_sq_row', rowsOf(param.shape), mean(squared, [rank - 1])),
        col = averaged('exp_avg_sq_col', colsOf(param.shape), mean(squared, [rank - 2]));
      const rowMean = reshape(mean(row, [rank - 2]), [...param.shape.slice(0, -2), 1, 1]);
      const scale = div(1, sqrt(div(reshape(row, keptRows), rowMean)));
      update = mul(mul(grad, scale), div(1, sqrt(reshape(col, keptCols))));
    } else update = div(grad, sqrt(averaged('exp_avg_sq', param.shape, squared)));
    update = div(update, maximum(div(rms(update), clip_threshold), 1));
    const rate = scale_parameter ? mul(maximum(rms(param), eps[1]), lr) : lr;
    update = mul(update, rate);
    const smooth = beta1 === null ? update : add(mul(slots[0], beta1), mul(update, 1 - beta1));
    const kept = weight_decay > 0 ? sub(param, mul(param, mul(rate, weight_decay))) : param;
    return { param: sub(kept, smooth), slots: beta1 === null ? [] : [smooth] };
  }
}

/** Hands out pieces of a flat state in order, and puts the new ones together. */
class Ledger {
  private at = 0;
  private readonly pieces: Tensor[] = [];

  constructor(private readonly state: Tensor) {}

  replace(shape: Shape, by: (old: Tensor) => Tensor): Tensor {
    const old = reshape(narrow(this.state, 0, this.at, this.at + sizeOf(shape)), shape),
      next = by(old);
    this.at += sizeOf(shape);
    this.pieces.push(flat(next));
    return next;
  }

  next(): Tensor {
    return concat(this.pieces, 0);
  }
}

const flat = (x: Tensor): Tensor => reshape(x, [sizeOf(x.shape)]);
const rms = (x: Tensor): Tensor => sqrt(mean(square(x)));
/** Matrices and stacks of them; a convolution [O, C, kh, kw] is a stack of kernels. */
const isFactored = (shape: Shape): boolean => shape.length >= 2;
const rowsOf = (shape: Shape): Shape => shape.slice(0, -1);
const colsOf = (shape: Shape): Shape => [...shape.slice(0, -2), shape[shape.length - 1]];

declare module '../../registry/kinds.js' {
  interface OptimizerMap {
    Adafactor: typeof Adafactor;
  }
}
