/**
 * Kronecker products of a small and a larger matrix (KronA; Edalati et al., arXiv 2212.10650), as LyCORIS (arXiv
 * 2309.14859) and PEFT's LoKrConfig have it.
 */
import { UserError } from '../base/errors.js';
import type { RandomStream } from '../base/rng.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { float32, sizeOf, zeros, type Shape } from '../tensor/host.js';
import { gemm, mul, reshape } from '../tensor/ops.js';
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
import { isLargerThanOne } from './loha.js';
import { numbersOf, patterned } from './patterns.js';
import { kaimingUniform } from './start-values.js';
import { alphaPatternOption, patternValue, rankPatternOption, targetOption } from './targets.js';
import { rebuildTucker } from './tucker.js';

@ADAPTERS.register('LoKr')
export class LoKr extends AdapterKind {
  static readonly options = {
    description: 'Kronecker products: W + s kron(w1, w2), w2 of low rank where r is small.',
    type: 'object',
    additionalProperties: false,
    properties: {
      r: {
        type: 'integer',
        minimum: 1,
        default: 8,
        description: 'rank of w2; from half its larger side on, w2 is whole',
      },
      alpha: { type: 'number', default: 8, description: 'the update is scaled by alpha / r' },
      target_modules: targetOption,
      decompose_both: { type: 'boolean', default: false, description: 'w1 of low rank as well, where r is small' },
      decompose_factor: {
        type: 'integer',
        minimum: -1,
        default: -1,
        description: 'sides of w1; -1: divisors of the sides of the weight, next below their square roots',
      },
      use_effective_conv2d: {
        type: 'boolean',
        default: false,
        description: 'w2 of convolutions larger than 1x1 as a small core and two matrices (Tucker)',
      },
      init_weights: {
        enum: [true, 'lycoris'],
        default: true,
        description: 'start: true, w1 zero; lycoris, w2 zero; the rest as torch.nn.Linear',
      },
      rank_dropout: { enum: [0], default: 0, description: 'must be 0: a step depends on its seed and data only' },
      module_dropout: { enum: [0], default: 0, description: 'must be 0: a step depends on its seed and data only' },
      rank_dropout_scale: { enum: [false], default: false, description: 'of rank_dropout, which is 0' },
      rank_pattern: rankPatternOption,
      alpha_pattern: alphaPatternOption('alpha'),
    },
  } as const satisfies OptionsSchema;

  static readonly lycoris: LycorisForm = {
    marks: ['lokr_w1', 'lokr_w1_a', 'lokr_w1_b', 'lokr_w2', 'lokr_w2_a', 'lokr_w2_b', 'lokr_t2'],
    read: (tensors, shape, where) => readLycoris(tensors, shape, where),
    write: ({ adapter, values }) => {
      const { rank, scale, firstWhole, secondWhole } = (adapter as LokrModule).settings;
      if (!firstWhole || !secondWhole) return { ...values, alpha: float32([scale * rank], []) };
      // Readers take a scale of 1 where both are whole, whatever alpha says.
      return { ...values, lokr_w1: times(values['lokr_w1'], float32([scale], [])), alpha: float32([1], []) };
    },
  };

  static holds(adapter: ModuleAdapter): boolean {
    return adapter instanceof LokrModule;
  }

  /** Options that give just these modules, where PEFT has any. */
  static describe(modules: ReadonlyMap<string, LokrModule>): Output<typeof LoKr.options> {
    const all = [...modules.values()];
    // A module whose two matrices are whole does not say its rank: any large one gives it.
    const ranks = numbersOf(modules, (module) => module.rankForPeft);
    const rank = patterned(ranks);
    const alpha = patterned(
      new Map([...modules].map(([name, { settings }]) => [name, settings.scale * (ranks.get(name) as number)])),
    );
    const factors = [-1, ...new Set(all.map(({ settings }) => settings.first[0]))];
    const fits = (factor: number): boolean =>
      all.every(({ shape, settings: { first } }) =>
        first.every((side, axis) => factorization(shape[axis], factor)[0] === side),
      );
    return {
      r: rank.usual,
      alpha: alpha.usual,
      target_modules: [...modules.keys()],
      decompose_both: all.some(({ settings }) => !settings.firstWhole),
      decompose_factor: factors.find(fits) ?? -1,
      use_effective_conv2d: all.some(({ settings }) => settings.tucker),
      init_weights: true,
      rank_dropout: 0,
      module_dropout: 0,
      rank_dropout_scale: false,
      rank_pattern: rank.others,
      alpha_pattern: alpha.others,
    };
  }

  constructor(private readonly opts: Output<typeof LoKr.options>) {
    super();
  }

  get targets() {
    return this.opts.target_modules;
  }

  module(name: string, shape: Shape, where: string): LokrModule {
    const { r, alpha, decompose_both: both, decompose_factor: factor, use_effective_conv2d: effective } = this.opts;
    const rank = patternValue(this.opts.rank_pattern, name, where, 'rank_pattern') ?? r;
    const own = patternValue(this.opts.alpha_pattern, name, where, 'alpha_pattern') ?? alpha;
    const [outer, inner] = [factorization(shape[0], factor), factorization(shape[1], factor)];
    return new LokrModule(shape, {
      first: [outer[0], inner[0]],
      rank,
      scale: own / rank,
      firstWhole: !both || rank >= Math.max(outer[0], inner[0]) / 2,
      secondWhole: rank >= Math.max(outer[1], inner[1]) / 2,
      tucker: effective && isLargerThanOne(shape),
      start: this.opts.init_weights,
    });
  }

  peftOptions(): PeftOptions {
    return this.opts;
  }
}

/**
 * Two factors of a side, the smaller one first: the smaller is `factor` where that divides, else the largest divisor that
 * is neither above `factor` nor above the other one. @param factor -1: no such limit
 */
export function factorization(side: number, factor: number): readonly [number, number] {
  if (factor > 0 && side % factor === 0) return [factor, side / factor];
  const most = factor === -1 ? side : factor;
  let pair: readonly [number, number] = [1, side];
  for (let small = 2; small <= most && small * small <= side; small++)
    if (side % small === 0) pair = [small, side / small];
  return pair;
}

export interface LokrSettings {
  /** sides of w1: a divisor of the outputs, a divisor of the inputs */
  readonly first: readonly [number, number];
  readonly rank: number;
  readonly scale: number;
  readonly firstWhole: boolean;
  readonly secondWhole: boolean;
  readonly tucker: boolean;
  /** `init_weights` */
  readonly start?: unknown;
}

export class LokrModule extends AdditiveModule {
  readonly parts: ReadonlyMap<string, Shape>;
  protected readonly scale: number;

  constructor(
    shape: Shape,
    readonly settings: LokrSettings,
  ) {
    super(shape);
    this.scale = settings.scale;
    const { rank, firstWhole, secondWhole, tucker } = settings;
    const [out, channels, ...kernel] = shape;
    const [a, c] = settings.first;
    const [b, d] = [out / a, channels / c];
    const first: (readonly [string, Shape])[] = firstWhole
      ? [['lokr_w1', [a, c]]]
      : [
          ['lokr_w1_a', [a, rank]],
          ['lokr_w1_b', [rank, c]],
        ];
    const second: (readonly [string, Shape])[] = secondWhole
      ? [['lokr_w2', [b, d, ...kernel]]]
      : tucker
        ? [
            ['lokr_t2', [rank, rank, ...kernel]],
            ['lokr_w2_a', [rank, b]],
            ['lokr_w2_b', [rank, d]],
          ]
        : [
            ['lokr_w2_a', [b, rank]],
            ['lokr_w2_b', [rank, d * sizeOf(kernel)]],
          ];
    this.parts = new Map([...first, ...second]);
  }

  /** A rank with which PEFT makes matrices of these shapes. */
  get rankForPeft(): number {
    const { rank, firstWhole, secondWhole, first } = this.settings;
    if (!firstWhole || !secondWhole) return rank;
    return Math.max(rank, Math.ceil(Math.max(...first, this.shape[0] / first[0], this.shape[1] / first[1]) / 2));
  }

  protected delta(part: Leaf): Tensor {
    const [out, channels, ...kernel] = this.shape;
    const [a, c] = this.settings.first;
    const pixels = sizeOf(kernel);
    const first = this.settings.firstWhole ? part('lokr_w1') : gemm(part('lokr_w1_a'), part('lokr_w1_b'));
    const spread = mul(
      reshape(first, [a, 1, c, 1, 1]),
      reshape(this.second(part), [1, out / a, 1, channels / c, pixels]),
    );
    return reshape(spread, this.shape);
  }

  private second(part: Leaf): Tensor {
    if (this.settings.secondWhole) return part('lokr_w2');
    return this.settings.tucker
      ? rebuildTucker(part('lokr_t2'), part('lokr_w2_a'), part('lokr_w2_b'))
      : gemm(part('lokr_w2_a'), part('lokr_w2_b'));
  }

  async start(draw: (part: string) => RandomStream): Promise<PartTensors> {
    const { start, firstWhole, secondWhole } = this.settings;
    const [first, second] = [firstWhole ? 'lokr_w1' : 'lokr_w1_a', secondWhole ? 'lokr_w2' : 'lokr_w2_b'];
    const zero = start === 'lycoris' ? second : first;
    return Object.fromEntries(
      [...this.parts].map(([name, shape]) => [
        name,
        name === zero ? zeros('float32', shape) : kaimingUniform(shape, draw(name)),
      ]),
    );
  }
}

function readLycoris(tensors: PartTensors, shape: Shape, where: string): TrainedModule {
  refuseDora(tensors, where);
  const { lokr_w1: first, lokr_w1_a: firstLeft, lokr_w1_b: firstRight, lokr_w2: second } = tensors;
  const { lokr_w2_a: secondLeft, lokr_w2_b: secondRight } = tensors;
  const [outer, inner] = [(first ?? firstLeft)?.shape[0], (first ?? firstRight)?.shape[1]];
  if (outer === undefined || inner === undefined || (!second && !(secondLeft && secondRight)))
    throw new UserError(`${where} has not all of w1 and w2; save the adapter again`);
  if (shape[0] % outer !== 0 || shape[1] % inner !== 0)
    throw new UserError(
      `${where} has w1 [${outer}, ${inner}], which does not divide the weight [${shape}]; the adapter is for another base model`,
      { code: 'MODEL_MISMATCH' },
    );
  const rank = (secondRight ?? firstRight)?.shape[0] ?? 1;
  const adapter = new LokrModule(shape, {
    first: [outer, inner],
    rank,
    scale: first && second ? 1 : scaleOf(tensors, rank),
    firstWhole: first !== undefined,
    secondWhole: second !== undefined,
    tucker: tensors['lokr_t2'] !== undefined,
  });
  const name = first ? 'lokr_w1' : 'lokr_w1_a';
  const scaled = { ...tensors, [name]: times(tensors[name], tensors['scalar']) };
  return { adapter, values: fittedParts(scaled, adapter.parts, where) };
}

declare module '../registry/kinds.js' {
  interface AdapterMap {
    LoKr: typeof LoKr;
  }
}
