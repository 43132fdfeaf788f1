/**
 * Orthogonal fine-tuning (Qiu et al., arXiv 2306.07280; the input-centric form of arXiv 2506.19847): the inputs are rotated
 * block by block, the angles between the rows of the weight stay. Names and numbers as PEFT's OFTConfig from 0.16 on.
 */
import { UserError } from '../base/errors.js';
import type { AdaptedLayer } from '../networks/layers/scope.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { sizeOf, zeros, type Shape } from '../tensor/host.js';
import { add, div, expand, matmul, mul, reshape, square, stopGradient, sub, sum, transpose } from '../tensor/ops.js';
import { constant, type Tensor } from '../tensor/tensor.js';
import { AdapterKind, ADAPTERS, ModuleAdapter, type Leaf, type PartTensors, type PeftOptions } from './adapter-kind.js';
import { targetOption } from './targets.js';

const R = 'oft_R.weight';
/** Whose OFT this is; without a version PEFT takes a folder for one of before 0.18. */
const PEFT_VERSION = '0.21.0';

@ADAPTERS.register('OFT')
export class OFT extends AdapterKind {
  static readonly options = {
    description: 'Orthogonal fine-tuning: blocks of the inputs are rotated, lengths and angles of the weight stay.',
    type: 'object',
    additionalProperties: false,
    properties: {
      r: { type: 'integer', minimum: 0, default: 0, description: 'number of blocks; 0: as oft_block_size says' },
      oft_block_size: {
        type: 'integer',
        minimum: 0,
        default: 32,
        description: 'inputs that are rotated together; 0: as r says. The nearest divisor of the inputs is taken',
      },
      target_modules: targetOption,
      block_share: { type: 'boolean', default: false, description: 'one rotation for all blocks of a module' },
      use_cayley_neumann: {
        type: 'boolean',
        default: true,
        description:
          "rotation by a few terms of a series, which is faster, in place of the exact Cayley transform. PEFT's two turn in opposite directions",
      },
      num_cayley_neumann_terms: { type: 'integer', minimum: 1, default: 5, description: 'terms of that series' },
      init_weights: { enum: [true], default: true, description: 'start: no rotation' },
      module_dropout: { enum: [0], default: 0, description: 'must be 0: a step depends on its seed and data only' },
      bias: { enum: ['none'], default: 'none', description: 'must be none: biases are not trained' },
      coft: { enum: [false], default: false, description: 'must be false: constrained OFT (COFT) is not supported' },
    },
  } as const satisfies OptionsSchema;

  /** PEFT 0.18 changed the series, and wrote its version from then on. */
  static checkPeft({ use_cayley_neumann: series, peft_version: version }: PeftOptions, where: string): void {
    const [major, minor] = String(version ?? '0.0')
      .split('.')
      .map(Number);
    if (series && major === 0 && minor < 18)
      throw new UserError(
        `${where}: OFT by the series of PEFT before 0.18 (peft_version ${JSON.stringify(version ?? null)}), whose numbers mean other rotations; merge it with the PEFT that wrote it`,
      );
  }

  static holds(adapter: ModuleAdapter): boolean {
    return adapter instanceof OftModule;
  }

  /** Options that give just these modules. */
  static describe(modules: ReadonlyMap<string, OftModule>): Output<typeof OFT.options> {
    const [{ settings }] = modules.values();
    const all = [...modules.values()];
    const size = Math.max(...all.map((module) => module.settings.block));
    const isBySize = all.every(({ inputs, settings: { block } }) => nearestDivisor(inputs, size) === block);
    return {
      r: isBySize ? 0 : Math.max(...all.map(({ inputs, settings: { block } }) => inputs / block)),
      oft_block_size: isBySize ? size : 0,
      target_modules: [...modules.keys()],
      block_share: settings.share,
      use_cayley_neumann: settings.terms !== undefined,
      num_cayley_neumann_terms: settings.terms ?? 5,
      init_weights: true,
      module_dropout: 0,
      bias: 'none',
      coft: false,
    };
  }

  constructor(private readonly opts: Output<typeof OFT.options>) {
    super();
  }

  get targets() {
    return this.opts.target_modules;
  }

  module(name: string, shape: Shape, where: string): OftModule {
    const { r, oft_block_size: size, block_share: share, use_cayley_neumann: series } = this.opts;
    if ((r === 0) === (size === 0))
      throw new UserError(
        `${where}: r is ${r} and oft_block_size is ${size}; one of them must be 0, for each follows from the other`,
      );
    const inputs = sizeOf(shape) / shape[0];
    const block = r === 0 ? nearestDivisor(inputs, size) : inputs / nearestDivisor(inputs, r);
    if (block === 1)
      throw new UserError(
        `${where}: "${name}" has ${inputs} inputs, whose nearest block is of one input, and one input cannot turn; take another oft_block_size or leave the module out`,
      );
    return new OftModule(shape, { block, share, terms: series ? this.opts.num_cayley_neumann_terms : undefined });
  }

  peftOptions(): PeftOptions {
    return { ...this.opts, eps: 6e-5, fan_in_fan_out: false, peft_version: PEFT_VERSION };
  }
}

/** As PEFT's adjust_oft_parameters: of two that are equally near, the smaller. */
export function nearestDivisor(whole: number, wanted: number): number {
  if (wanted >= whole) return whole;
  let [below, above] = [wanted, wanted];
  while (below > 1 && whole % below !== 0) below--;
  while (above <= whole && whole % above !== 0) above++;
  return wanted - below <= above - wanted ? below : above;
}

export interface OftSettings {
  /** inputs per block */
  readonly block: number;
  readonly share: boolean;
  /** of the series; undefined: the exact transform */
  readonly terms: number | undefined;
}

export class OftModule extends ModuleAdapter {
  readonly parts: ReadonlyMap<string, Shape>;
  /** of the module's weight, as a matrix */
  readonly inputs: number;
  private readonly blocks: number;

  constructor(
    shape: Shape,
    readonly settings: OftSettings,
  ) {
    super(shape);
    const { block, share } = settings;
    this.inputs = sizeOf(shape) / shape[0];
    this.blocks = this.inputs / block;
    this.parts = new Map([[R, [share ? 1 : this.blocks, (block * (block - 1)) / 2]]]);
  }

  /** W R^T, block by block. @param strength multiplies the angles */
  weight(weight: Tensor, part: Leaf, strength: number): Tensor {
    return reshape(this.rotate(weight, part, strength, true), this.shape);
  }

  /** Rows of inputs are rotated themselves: their gradient costs less than that of a whole weight. */
  override answer(layer: AdaptedLayer, part: Leaf, strength: number): Tensor {
    if (layer.input.shape.length !== 2) return super.answer(layer, part, strength);
    return layer.apply(layer.weight, layer.bias, this.rotate(layer.input, part, strength, false));
  }

  async start(): Promise<PartTensors> {
    return { [R]: zeros('float32', this.parts.get(R) as Shape) };
  }

  /** x [rows, inputs] R, or R^T. */
  private rotate(x: Tensor, part: Leaf, strength: number, transposed: boolean): Tensor {
    const rows = x.shape[0];
    const { block } = this.settings;
    const byBlock = transpose(reshape(x, [rows, this.blocks, block]), [1, 0, 2]);
    const turned = matmul(byBlock, this.rotations(part, strength), false, transposed);
    return reshape(transpose(turned, [1, 0, 2]), [rows, this.blocks * block]);
  }

  /** [blocks, block, block] */
  private rotations(part: Leaf, strength: number): Tensor {
    const { block, terms } = this.settings;
    const skew = skewSymmetric(strength === 1 ? part(R) : mul(part(R), strength), block);
    const rotations = terms === undefined ? cayley(skew) : cayleySeries(skew, terms);
    return expand(rotations, [this.blocks, block, block]);
  }
}

/** By block size: what all modules share. */
const spreads = new Map<number, Tensor>();

/** 0, 1 and -1 that put each value above the diagonal, row by row, into its two places of a matrix. */
function spread(block: number): Tensor {
  const count = (block * (block - 1)) / 2;
  const places = new Float32Array(count * block * block);
  let k = 0;
  for (let i = 0; i < block; i++)
    for (let j = i + 1; j < block; j++, k++) {
      places[k * block * block + i * block + j] = 1;
      places[k * block * block + j * block + i] = -1;
    }
  const known = spreads.get(block) ?? constant({ dtype: 'float32', shape: [count, block * block], data: places });
  spreads.set(block, known);
  return known;
}

/** [n, b (b - 1) / 2] to S = -S^T [n, b, b]. */
const skewSymmetric = (values: Tensor, block: number): Tensor =>
  reshape(matmul(values, spread(block)), [values.shape[0], block, block]);

/** [1, b, b] */
function identity(block: number): Tensor {
  const data = new Float32Array(block * block);
  for (let k = 0; k < block; k++) data[k * (block + 1)] = 1;
  return constant({ dtype: 'float32', shape: [1, block, block], data });
}

/** I + 2 S + 2 S^2 + ... + S^(terms - 1), the last power once: near (I + S) (I - S)^-1. */
function cayleySeries(skew: Tensor, terms: number): Tensor {
  let rotation = identity(skew.shape[1]);
  if (terms > 1) rotation = add(rotation, mul(skew, 2));
  let power = skew;
  // PEFT adds S^2 twice whenever there are more than two terms, and the last power once.
  if (terms > 2) {
    power = matmul(skew, skew);
    rotation = add(rotation, mul(power, 2));
    for (let term = 3; term < terms - 1; term++) {
      power = matmul(power, skew);
      rotation = add(rotation, mul(power, 2));
    }
    rotation = add(rotation, matmul(power, skew));
  }
  return rotation;
}

/** Doublings of the exact digits: enough for float32 while the squares of a block's angles sum to less than about 100. */
const NEWTON_STEPS = 11;

/** (I - S) (I + S)^-1 */
function cayley(skew: Tensor): Tensor {
  const [n, block] = skew.shape;
  const one = identity(block);
  const matrix = add(one, skew);
  // Newton's iteration X <- X (2 I - M X) from M^T / (1 + |S|^2), which converges for every S.
  const next = (x: Tensor): Tensor => matmul(x, sub(mul(one, 2), matmul(matrix, x)));
  const start = div(sub(one, skew), add(reshape(sum(square(skew), [1, 2]), [n, 1, 1]), 1));
  let inverse = start;
  for (let step = 0; step < NEWTON_STEPS; step++) inverse = next(inverse);
  // The last step has the exact gradient of the inverse, -X dM X; the earlier ones need none.
  return matmul(sub(one, skew), next(stopGradient(inverse)));
}

declare module '../registry/kinds.js' {
  interface AdapterMap {
    OFT: typeof OFT;
  }
}
