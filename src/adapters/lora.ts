/**
 * Low-rank updates (Hu et al., arXiv 2106.09685), with rank-stabilised scale (Kalajdzievski, arXiv 2312.03732), weights
 * decomposed into magnitude and direction (DoRA; Liu et al., arXiv 2402.09353), and starts from the weight itself (PiSSA;
 * Meng et al., arXiv 2404.02948, and OLoRA; Buyukakyuz, arXiv 2406.01775). Names and numbers as PEFT's LoraConfig.
 */
import { UserError } from '../base/errors.js';
import type { RandomStream } from '../base/rng.js';
import type { AdaptedLayer } from '../networks/layers/scope.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { float32, floats, sizeOf, type HostTensor, zeros, type Shape } from '../tensor/host.js';
import { add, concat, div, gemm, mul, reshape, sqrt, square, stopGradient, sub, sum } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  AdapterKind,
  ADAPTERS,
  ModuleAdapter,
  type Leaf,
  type LycorisForm,
  type PartTensors,
  type PeftOptions,
  type TrainedModule,
} from './adapter-kind.js';
import { fitted, scaleOf, times } from './lycoris-values.js';
import { multiply, orthonormal, principal, type Matrix } from './principal.js';
import { numbersOf, patterned } from './patterns.js';
import { kaimingUniform } from './start-values.js';
import { alphaPatternOption, patternValue, rankPatternOption, targetOption } from './targets.js';

const DEFAULTS = { lora_dropout: 0, bias: 'none', use_rslora: false, init_lora_weights: true } as const;

export const A = 'lora_A.weight';
export const B = 'lora_B.weight';
export const MAGNITUDE = 'lora_magnitude_vector';
/** What PiSSA and OLoRA took out of the frozen weight at the start. */
const START_A = 'start_A';
const START_B = 'start_B';

@ADAPTERS.register('LoRA')
export class LoRA extends AdapterKind {
  static readonly options = {
    description: 'Low-rank updates: W + s B A; with use_dora, their rows scaled to trained lengths.',
    type: 'object',
    additionalProperties: false,
    properties: {
      r: { type: 'integer', minimum: 1, default: 8, description: 'rank of the update' },
      lora_alpha: { type: 'number', default: 8, description: 'the update is scaled by lora_alpha / r' },
      target_modules: targetOption,
      lora_dropout: { enum: [0], default: 0, description: 'must be 0: a step depends on its seed and data only' },
      bias: { enum: ['none'], default: 'none', description: 'must be none: biases are not trained' },
      use_rslora: { type: 'boolean', default: false, description: 'scale by lora_alpha / sqrt(r)' },
      use_dora: {
        type: 'boolean',
        default: false,
        description: 'DoRA: the length of each output row of the weight is trained apart from its direction',
      },
      init_lora_weights: {
        anyOf: [{ enum: [true, 'gaussian', 'pissa', 'olora'] }, { type: 'string', pattern: '^pissa_niter_[0-9]+$' }],
        default: true,
        description:
          'start: true, A uniform as torch.nn.Linear and B zero; gaussian, A normal with deviation 1 / r and B zero; pissa, the largest singular values of the weight (pissa_niter_16: by 16 iterations); olora, its QR decomposition. Checkpoints of the last two hold rank 2 r, for the plain base model',
      },
      rank_pattern: rankPatternOption,
      alpha_pattern: alphaPatternOption('lora_alpha'),
    },
  } as const satisfies OptionsSchema;

  static readonly lycoris: LycorisForm = {
    marks: ['lora_down.weight', 'lora_up.weight', 'lora_mid.weight'],
    read: (tensors, shape, where) => readLycoris(tensors, shape, where),
    write: ({ adapter, values }) => {
      const { rank, scale, dora } = (adapter as LoraModule).settings;
      const [out, ...rest] = adapter.shape;
      return {
        'lora_down.weight': values[A],
        'lora_up.weight': values[B],
        alpha: float32([scale * rank], []),
        ...(dora && { dora_scale: float32(floats(values[MAGNITUDE]), [out, ...rest.map(() => 1)]) }),
      };
    },
  };

  static holds(adapter: ModuleAdapter): boolean {
    return adapter instanceof LoraModule;
  }

  /** Options that give just these modules. */
  static describe(modules: ReadonlyMap<string, LoraModule>): Output<typeof LoRA.options> {
    const rank = patterned(numbersOf(modules, ({ settings }) => settings.rank));
    const alpha = patterned(numbersOf(modules, ({ settings }) => settings.scale * settings.rank));
    return {
      ...DEFAULTS,
      r: rank.usual,
      lora_alpha: alpha.usual,
      use_dora: [...modules.values()].every(({ settings }) => settings.dora),
      target_modules: [...modules.keys()],
      rank_pattern: rank.others,
      alpha_pattern: alpha.others,
    };
  }

  constructor(private readonly opts: Output<typeof LoRA.options>) {
    super();
  }

  get targets() {
    return this.opts.target_modules;
  }

  module(name: string, shape: Shape, where: string): LoraModule {
    const { r, lora_alpha: alpha, rank_pattern: ranks, alpha_pattern: alphas, use_rslora: stable } = this.opts;
    const rank = patternValue(ranks, name, where, 'rank_pattern') ?? r;
    const own = patternValue(alphas, name, where, 'alpha_pattern') ?? alpha;
    const scale = own / (stable ? Math.sqrt(rank) : rank);
    return new LoraModule(shape, { rank, scale, dora: this.opts.use_dora, start: this.opts.init_lora_weights });
  }

  peftOptions(): PeftOptions {
    const { init_lora_weights: start, ...opts } = this.opts;
    if (!takesFromWeight(start)) return { ...opts, fan_in_fan_out: false, init_lora_weights: start };
    // What was taken out of the weight is written beside the trained pair: twice the rank, the same scale.
    const alphaFactor = opts.use_rslora ? Math.SQRT2 : 2;
    const times = (values: Readonly<Record<string, unknown>>, factor: number): Record<string, number> =>
      Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Number(value) * factor]));
    return {
      ...opts,
      r: 2 * opts.r,
      lora_alpha: alphaFactor * opts.lora_alpha,
      rank_pattern: times(opts.rank_pattern, 2),
      alpha_pattern: times(opts.alpha_pattern, alphaFactor),
      fan_in_fan_out: false,
      init_lora_weights: true,
    };
  }
}

/** The start changes the frozen weight: W = (W - s B0 A0) + s B A. */
const takesFromWeight = (start: unknown): boolean => typeof start === 'string' && start !== 'gaussian';

export interface LoraSettings {
  readonly rank: number;
  readonly scale: number;
  readonly dora?: boolean;
  /** `init_lora_weights` */
  readonly start?: unknown;
}

export class LoraModule extends ModuleAdapter {
  readonly parts: ReadonlyMap<string, Shape>;

  constructor(
    shape: Shape,
    readonly settings: LoraSettings,
  ) {
    super(shape);
    const [out, ...rest] = shape;
    const { rank, dora } = settings;
    this.parts = new Map<string, Shape>([
      [A, [rank, ...rest]],
      [B, [out, rank, ...rest.slice(1).map(() => 1)]],
      ...(dora ? [[MAGNITUDE, rest.length > 1 ? [1, out, 1, 1] : [out]] as const] : []),
    ]);
  }

  weight(weight: Tensor, part: Leaf, strength: number): Tensor {
    if (!this.settings.dora) return add(weight, this.update(part, strength));
    const direction = add(weight, this.update(part, 1));
    const [out] = this.shape;
    const length = div(reshape(part(MAGNITUDE), [out]), this.lengths(direction));
    const whole = mul(direction, reshape(length, [out, ...this.shape.slice(1).map(() => 1)]));
    return strength === 1 ? whole : add(weight, mul(sub(whole, weight), strength));
  }

  override answer(layer: AdaptedLayer, part: Leaf, strength: number): Tensor {
    const { dora, scale } = this.settings;
    if (!dora) return add(layer.apply(layer.weight, layer.bias), this.change(layer, part, strength));
    const base = layer.apply(layer.weight);
    const direction = add(base, scaled(this.low(layer, part), scale));
    const [out] = this.shape;
    const length = div(reshape(part(MAGNITUDE), [out]), this.lengths(add(layer.weight, this.update(part, 1))));
    const whole = mul(direction, layer.perOutput(length));
    const y = strength === 1 ? whole : add(base, mul(sub(whole, base), strength));
    return layer.bias ? add(y, layer.perOutput(layer.bias)) : y;
  }

  override change(layer: AdaptedLayer, part: Leaf, strength: number): Tensor {
    if (this.settings.dora) return super.change(layer, part, strength);
    return scaled(this.low(layer, part), this.settings.scale * strength);
  }

  async start(draw: (part: string) => RandomStream, weight: () => Promise<HostTensor>): Promise<PartTensors> {
    const { rank, start, dora } = this.settings;
    const [shapeA, shapeB] = [this.parts.get(A) as Shape, this.parts.get(B) as Shape];
    const taken = await this.constants(weight);
    const magnitude: PartTensors = dora
      ? { [MAGNITUDE]: rowLengths(await weight(), this.parts.get(MAGNITUDE) as Shape) }
      : {};
    if (takesFromWeight(start)) return { [A]: taken[START_A], [B]: taken[START_B], ...magnitude };
    const stream = draw(A);
    const gaussian = (): HostTensor =>
      float32(
        stream.normals(sizeOf(shapeA)).map((v) => v / rank),
        shapeA,
      );
    return {
      [A]: start === 'gaussian' ? gaussian() : kaimingUniform(shapeA, stream),
      [B]: zeros('float32', shapeB),
      ...magnitude,
    };
  }

  override async constants(weight: () => Promise<HostTensor>): Promise<PartTensors> {
    const { rank, scale, start } = this.settings;
    if (!takesFromWeight(start)) return {};
    const matrix = asMatrix(await weight());
    const { a, b } = start === 'olora' ? qrPair(matrix, rank) : principalPair(matrix, rank, scale, iterations(start));
    return { [START_A]: float32(a, this.parts.get(A) as Shape), [START_B]: float32(b, this.parts.get(B) as Shape) };
  }

  override withoutConstants(values: PartTensors, constants: PartTensors): TrainedModule {
    if (!constants[START_A]) return { adapter: this, values };
    const { rank, scale, dora } = this.settings;
    const adapter = new LoraModule(this.shape, { rank: 2 * rank, scale, ...(dora && { dora }) });
    const [a, a0, b, b0] = [values[A], constants[START_A], values[B], constants[START_B]].map(floats);
    const twice = new Float32Array(2 * b.length);
    for (let o = 0; o < this.shape[0]; o++)
      for (let k = 0; k < rank; k++) {
        twice[o * 2 * rank + k] = b[o * rank + k];
        twice[o * 2 * rank + rank + k] = -b0[o * rank + k];
      }
    return {
      adapter,
      values: {
        ...values,
        [A]: float32(Float32Array.from([...a, ...a0]), adapter.parts.get(A) as Shape),
        [B]: float32(twice, adapter.parts.get(B) as Shape),
      },
    };
  }

  /** A and B, with what was taken out of the weight at the start as further rows and columns. */
  private pair(part: Leaf): { a: Tensor; b: Tensor } {
    const [a, b] = [part(A), part(B)];
    if (!takesFromWeight(this.settings.start)) return { a, b };
    return { a: concat([a, part(START_A)], 0), b: concat([b, mul(part(START_B), -1)], 1) };
  }

  /** (B A) x */
  private low(layer: AdaptedLayer, part: Leaf): Tensor {
    const { a, b } = this.pair(part);
    return layer.mix(layer.apply(a), b);
  }

  /** s B A in the shape of the weight. */
  private update(part: Leaf, strength: number): Tensor {
    const { a, b } = this.pair(part);
    const rank = a.shape[0];
    const [out] = this.shape;
    const product = gemm(reshape(b, [out, rank]), reshape(a, [rank, sizeOf(a.shape) / rank]));
    return scaled(reshape(product, this.shape), this.settings.scale * strength);
  }

  /** Of the rows; a constant for the gradient (section 4.3 of the DoRA paper). */
  private lengths(direction: Tensor): Tensor {
    const [out] = this.shape;
    return stopGradient(sqrt(sum(square(reshape(direction, [out, sizeOf(this.shape) / out])), [1])));
  }
}

/** LoCon, with or without a core in the middle (Tucker), with or without DoRA. */
function readLycoris(tensors: PartTensors, shape: Shape, where: string): TrainedModule {
  const { 'lora_down.weight': down, 'lora_up.weight': up, 'lora_mid.weight': mid, dora_scale: magnitude } = tensors;
  if (!down || !up) throw new UserError(`${where} has only one of its two matrices; save the LoRA again`);
  const rank = up.shape[1];
  const [out] = shape;
  if (magnitude && sizeOf(magnitude.shape) !== out)
    throw new UserError(
      `${where} has dora_scale [${magnitude.shape}]: lengths of columns (wd_on_output false), and only lengths of the ${out} rows are supported; merge the adapter with the tool that made it`,
    );
  const adapter = new LoraModule(shape, { rank, scale: scaleOf(tensors, rank), dora: magnitude !== undefined });
  const first = mid ? withCore(down, mid, adapter.parts.get(A) as Shape) : down;
  return {
    adapter,
    values: {
      [A]: fitted(first, adapter.parts.get(A) as Shape, `${where}: lora_down`),
      [B]: fitted(times(up, tensors['scalar']), adapter.parts.get(B) as Shape, `${where}: lora_up`),
      ...(magnitude && { [MAGNITUDE]: fitted(magnitude, adapter.parts.get(MAGNITUDE) as Shape, where) }),
    },
  };
}

/** down [r, C, 1, 1] and core [r, r, kh, kw] as one first convolution [r, C, kh, kw]. */
function withCore(down: HostTensor, core: HostTensor, shape: Shape): HostTensor {
  const [rank, channels] = shape;
  const pixels = sizeOf(core.shape) / core.shape[0] / core.shape[1];
  const [d, c] = [floats(down), floats(core)];
  const data = new Float32Array(rank * channels * pixels);
  for (let i = 0; i < rank; i++)
    for (let k = 0; k < channels; k++)
      for (let p = 0; p < pixels; p++) {
        let total = 0;
        for (let j = 0; j < core.shape[1]; j++) total += c[(i * core.shape[1] + j) * pixels + p] * d[j * channels + k];
        data[(i * channels + k) * pixels + p] = total;
      }
  return float32(data, [rank, channels, ...core.shape.slice(2)]);
}

const scaled = (x: Tensor, scale: number): Tensor => (scale === 1 ? x : mul(x, scale));

const iterations = (start: unknown): number | undefined => {
  const count = /^pissa_niter_(\d+)$/.exec(String(start))?.[1];
  return count === undefined ? undefined : Number(count);
};

const asMatrix = (weight: HostTensor): Matrix => {
  const [rows] = weight.shape;
  return { rows, cols: sizeOf(weight.shape) / rows, data: Float64Array.from(floats(weight)) };
};

/** W = U S V^T: B = U sqrt(S / s), A = sqrt(S / s) V^T, by rows. */
function principalPair(
  matrix: Matrix,
  rank: number,
  scale: number,
  count?: number,
): { a: Float32Array; b: Float32Array } {
  const { values, left, right } = principal(matrix, rank, count);
  const root = values.map((v) => Math.sqrt(v / scale));
  return {
    a: Float32Array.from({ length: rank * matrix.cols }, (_, i) => {
      const k = Math.floor(i / matrix.cols);
      return root[k] * right.data[(i % matrix.cols) * rank + k];
    }),
    b: Float32Array.from(left.data, (v, i) => v * root[i % rank]),
  };
}

/** W = Q R: B the first columns of Q, A the first rows of R. */
function qrPair(matrix: Matrix, rank: number): { a: Float32Array; b: Float32Array } {
  const first = new Float64Array(matrix.rows * rank);
  for (let r = 0; r < matrix.rows; r++)
    for (let c = 0; c < Math.min(rank, matrix.cols); c++) first[r * rank + c] = matrix.data[r * matrix.cols + c];
  const q = orthonormal({ rows: matrix.rows, cols: rank, data: first });
  return { a: Float32Array.from(multiply(q, matrix, true).data), b: Float32Array.from(q.data) };
}

function rowLengths(weight: HostTensor, shape: Shape): HostTensor {
  const values = floats(weight);
  const [out] = weight.shape;
  const width = values.length / out;
  const lengths = Float32Array.from({ length: out }, (_, o) => {
    let total = 0;
    for (let i = o * width; i < (o + 1) * width; i++) total += values[i] ** 2;
    return Math.sqrt(total);
  });
  return float32(lengths, shape);
}

declare module '../registry/kinds.js' {
  interface AdapterMap {
    LoRA: typeof LoRA;
  }
}
