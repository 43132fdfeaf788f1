/**
 * Elementwise products of two low-rank matrices: rank r^2 for the parameters of rank 2 r. FedPara (Hyeon-Woo et al., arXiv
 * 2108.06098), as LyCORIS (arXiv 2309.14859) and PEFT's LoHaConfig have it.
 */
import { UserError } from '../base/errors.js';
import type { RandomStream } from '../base/rng.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { float32, sizeOf, zeros, type Shape } from '../tensor/host.js';
import { add, gemm, mul, reshape, stopGradient, sub } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  AdapterKind,
  ADAPTERS,
  type Leaf,
  type LycorisForm,
  type ModuleAdapter,
  type PartTensors,
  type PeftOptions,
  type TrainedModule,
} from './adapter-kind.js';
import { fittedParts, refuseDora, scaleOf, times } from './lycoris-values.js';
import { AdditiveModule } from './additive-module.js';
import { numbersOf, patterned } from './patterns.js';
import { kaimingUniform } from './start-values.js';
import { alphaPatternOption, patternValue, rankPatternOption, targetOption } from './targets.js';
import { rebuildTucker } from './tucker.js';

@ADAPTERS.register('LoHa')
export class LoHa extends AdapterKind {
  static readonly options = {
    description: 'Elementwise products of two low-rank matrices: W + s (w1_a w1_b) * (w2_a w2_b).',
    type: 'object',
    additionalProperties: false,
    properties: {
      r: { type: 'integer', minimum: 1, default: 8, description: 'rank of each of the two matrices' },
      alpha: { type: 'number', default: 8, description: 'the update is scaled by alpha / r' },
      target_modules: targetOption,
      use_effective_conv2d: {
        type: 'boolean',
        default: false,
        description: 'convolutions larger than 1x1 as a small core and two matrices (Tucker): fewer parameters',
      },
      init_weights: { enum: [true], default: true, description: 'start: w2_b zero, the rest as torch.nn.Linear' },
      rank_dropout: { enum: [0], default: 0, description: 'must be 0: a step depends on its seed and data only' },
      module_dropout: { enum: [0], default: 0, description: 'must be 0: a step depends on its seed and data only' },
      peft_gradient: {
        type: 'boolean',
        default: false,
        description:
          'with use_effective_conv2d, train as PEFT and LyCORIS do: their gradients of w1_a and w2_a take the core of the other half. false: the true gradients',
      },
      rank_pattern: rankPatternOption,
      alpha_pattern: alphaPatternOption('alpha'),
    },
  } as const satisfies OptionsSchema;

  static readonly lycoris: LycorisForm = {
    marks: ['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b', 'hada_t1', 'hada_t2'],
    read: (tensors, shape, where) => readLycoris(tensors, shape, where),
    write: ({ adapter, values }) => {
      const { rank, scale } = (adapter as LohaModule).settings;
      return { ...values, alpha: float32([scale * rank], []) };
    },
  };

  static holds(adapter: ModuleAdapter): boolean {
    return adapter instanceof LohaModule;
  }

  /** Options that give just these modules. */
  static describe(modules: ReadonlyMap<string, LohaModule>): Output<typeof LoHa.options> {
    const rank = patterned(numbersOf(modules, ({ settings }) => settings.rank));
    const alpha = patterned(numbersOf(modules, ({ settings }) => settings.scale * settings.rank));
    return {
      r: rank.usual,
      alpha: alpha.usual,
      target_modules: [...modules.keys()],
      use_effective_conv2d: [...modules.values()].some(({ settings }) => settings.tucker),
      init_weights: true,
      rank_dropout: 0,
      module_dropout: 0,
      peft_gradient: false,
      rank_pattern: rank.others,
      alpha_pattern: alpha.others,
    };
  }

  constructor(private readonly opts: Output<typeof LoHa.options>) {
    super();
  }

  get targets() {
    return this.opts.target_modules;
  }

  module(name: string, shape: Shape, where: string): LohaModule {
    const { r, alpha, rank_pattern: ranks, alpha_pattern: alphas, use_effective_conv2d: effective } = this.opts;
    const rank = patternValue(ranks, name, where, 'rank_pattern') ?? r;
    const own = patternValue(alphas, name, where, 'alpha_pattern') ?? alpha;
    const tucker = effective && isLargerThanOne(shape);
    return new LohaModule(shape, { rank, scale: own / rank, tucker, peftGradient: this.opts.peft_gradient });
  }

  peftOptions(): PeftOptions {
    const { peft_gradient: _ours, ...options } = this.opts;
    return options;
  }
}

/** A convolution of more than one pixel; on 1x1 PEFT leaves the core out. */
export const isLargerThanOne = ([, , ...kernel]: Shape): boolean => kernel.some((side) => side > 1);

export interface LohaSettings {
  readonly rank: number;
  readonly scale: number;
  readonly tucker: boolean;
  /** `peft_gradient` */
  readonly peftGradient?: boolean;
}

export class LohaModule extends AdditiveModule {
  readonly parts: ReadonlyMap<string, Shape>;
  protected readonly scale: number;

  constructor(
    shape: Shape,
    readonly settings: LohaSettings,
  ) {
    super(shape);
    this.scale = settings.scale;
    const { rank, tucker } = settings;
    const [out, channels, ...kernel] = shape;
    const half = (n: 1 | 2): (readonly [string, Shape])[] =>
      tucker
        ? [
            [`hada_t${n}`, [rank, rank, ...kernel]],
            [`hada_w${n}_a`, [rank, out]],
            [`hada_w${n}_b`, [rank, channels]],
          ]
        : [
            [`hada_w${n}_a`, [out, rank]],
            [`hada_w${n}_b`, [rank, channels * sizeOf(kernel)]],
          ];
    this.parts = new Map([...half(1), ...half(2)]);
  }

  protected delta(part: Leaf): Tensor {
    return reshape(mul(this.half(part, 1, 2), this.half(part, 2, 1)), this.shape);
  }

  private half(part: Leaf, own: 1 | 2, other: 1 | 2): Tensor {
    const outer = part(`hada_w${own}_a`);
    const inner = part(`hada_w${own}_b`);
    if (!this.settings.tucker) return gemm(outer, inner);
    const core = part(`hada_t${own}`);
    if (!this.settings.peftGradient) return rebuildTucker(core, outer, inner);
    // HadaWeightCP.backward of PEFT 0.21 takes the gradient of `outer` through the other half's core and inner matrix.
    const value = rebuildTucker(core, stopGradient(outer), inner);
    const [otherCore, otherInner] = [part(`hada_t${other}`), part(`hada_w${other}_b`)].map(stopGradient);
    const wrong = rebuildTucker(otherCore, outer, otherInner);
    return add(value, sub(wrong, stopGradient(wrong)));
  }

  async start(draw: (part: string) => RandomStream): Promise<PartTensors> {
    return Object.fromEntries(
      [...this.parts].map(([name, shape]) => [
        name,
        name === 'hada_w2_b' ? zeros('float32', shape) : kaimingUniform(shape, draw(name)),
      ]),
    );
  }
}

function readLycoris(tensors: PartTensors, shape: Shape, where: string): TrainedModule {
  refuseDora(tensors, where);
  const inner = tensors['hada_w1_b'];
  if (!inner) throw new UserError(`${where} has no hada_w1_b; save the adapter again`);
  const rank = inner.shape[0];
  const tucker = tensors['hada_t1'] !== undefined;
  const adapter = new LohaModule(shape, { rank, scale: scaleOf(tensors, rank), tucker });
  const scaled = { ...tensors, hada_w2_b: tensors['hada_w2_b'] && times(tensors['hada_w2_b'], tensors['scalar']) };
  return { adapter, values: fittedParts(scaled, adapter.parts, where) };
}

declare module '../registry/kinds.js' {
  interface AdapterMap {
    LoHa: typeof LoHa;
  }
}
