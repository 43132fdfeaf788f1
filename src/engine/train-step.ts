/**
 * One optimisation step as compiled programs: loss, gradients, clipping and the optimizer in one graph; with gradient
 * accumulation, a scaled loss or several ranks, a program that adds gradients to a buffer and one that applies it. Ranks
 * add theirs to the buffer in their order, as one process does that takes their batches one after the other.
 */
import type { Backend, Executable, Feeds } from '../backends/backend.js';
import { holderOfNonFinite } from '../backends/finite.js';
import { UserError } from '../base/errors.js';
import { ALONE, meanOverRanks, type Collectives } from '../collectives/collectives.js';
import { bufferState, type Model } from '../models/model.js';
import { floats, float32, scalar, zeros, type HostTensor } from '../tensor/host.js';
import { add, div, minimum, mul, narrow, reshape, sqrt, square, sum } from '../tensor/ops.js';
import { grad } from '../tensor/autodiff.js';
import { fill, input, leafName, state, topo, type Tensor } from '../tensor/tensor.js';
import { halfProducts } from '../tensor/passes/half-products.js';
import { LossScale, type LossScaleSetting } from './loss-scale.js';
import type { Optimizer, OwnState } from './optimizers/optimizer.js';
import type { Bucket, Parameters } from './parameters.js';

/** torch.nn.utils.clip_grad_norm_ adds this to the norm. */
const CLIP_EPS = 1e-6;

export interface TrainStepParts {
  readonly model: Model;
  readonly backend: Backend;
  readonly parameters: Parameters;
  readonly optimizer: Optimizer;
  /** global L2 norm that gradients are scaled down to; undefined: no clipping */
  readonly clipMaxNorm?: number;
  /** iterations whose mean gradient makes one update */
  readonly accumulativeCounts: number;
  /** products are computed in float16, with the loss scaled so; undefined: all in float32 */
  readonly lossScale?: LossScaleSetting | undefined;
  readonly maxIters: number;
  /** the processes that train together; absent: one */
  readonly ranks?: Collectives;
}
/** Sum of squares of the gradients so far: infinite or no number when one of them is. */
const GRAD_SQUARE = 'grad_square';

export class TrainStep {
  /** Every backend state that training needs to go on. */
  readonly stateNames: readonly string[];
  private readonly programs = new Map<string, Promise<Executable>>();
  /** What was compiled, to look for a weight that is no number. */
  private roots: readonly Tensor[] = [];
  private readonly lossScale: LossScale | undefined;
  private readonly own: readonly OwnState[];
  /** Gradients are kept between two programs. */
  private readonly apart: boolean;
  private readonly ranks: Collectives;

  constructor(private readonly parts: TrainStepParts) {
    this.lossScale = parts.lossScale === undefined ? undefined : new LossScale(parts.lossScale);
    this.ranks = parts.ranks ?? ALONE;
    this.apart = parts.accumulativeCounts > 1 || this.lossScale !== undefined || this.ranks.size > 1;
    const purposes = ['params', ...parts.optimizer.slots, ...(this.apart ? ['grads'] : [])];
    this.own = parts.optimizer.own(parts.parameters.buckets);
    this.stateNames = [
      ...this.bufferNames,
      ...this.own.map(ownName),
      ...purposes.flatMap((p) => parts.parameters.stateNames(p)),
      ...(this.lossScale ? [this.lossScale.stateName] : []),
    ];
  }

  /** Writes the start values and empty slots. */
  async init(values: Readonly<Record<string, HostTensor>>): Promise<void> {
    const { parameters, backend, optimizer } = this.parts;
    await parameters.write(backend.states, 'params', values);
    for (const slot of optimizer.slots)
      await (optimizer.copies.includes(slot)
        ? parameters.write(backend.states, slot, values)
        : parameters.fill(backend.states, slot, 0));
    for (const state of this.own) await backend.states.write(ownName(state), filled(state), true);
    for (const [name, value] of Object.entries(this.parts.model.buffers()))
      await backend.states.write(bufferState(name), value);
    if (this.apart) await parameters.fill(backend.states, 'grads', 0);
    await this.lossScale?.init(backend.states);
  }

  /**
   * Runs iteration `iteration` (0-based); every `accumulativeCounts`-th one, and the last, updates the parameters.
   * @param step.lr learning rate of this iteration
   * @returns loss of this batch (the mean of all ranks), the model's logs, `loss_scale` if there is one, and `grad_norm` (before clipping) when
   * parameters were updated. They are not when a scaled gradient is no number: the scale is smaller then.
   */
  async run(feeds: Feeds, step: { iteration: number; lr: number }): Promise<Record<string, number>> {
    const {
      accumulativeCounts: n,
      maxIters,
      optimizer,
      parameters,
      backend: { states },
    } = this.parts;
    const { ranks } = this;
    const scaled = await this.lossScale?.current(states),
      scale = scaled?.scale;
    const updates = Math.floor(step.iteration / n) + 1;
    const hyper = optimizer.hyper(updates - (scaled?.skipped ?? 0), step.lr);
    const hyperFeed = { 'step.hyper': float32(hyper, [hyper.length]) };
    if (!this.apart) return this.execute('train_step', feeds, hyperFeed, (inputs) => this.fused(inputs, hyper.length));

    // As mmengine's OptimWrapper: the last, shorter group is averaged over its own length.
    const group = Math.min(n, maxIters - (updates - 1) * n);
    const factors = {
      'step.share': scalar(1 / (group * ranks.size * (scale ?? 1))),
      ...(scale === undefined ? {} : { 'step.loss_scale': scalar(scale) }),
    };
    const { [GRAD_SQUARE]: ownSquare, ...own } = await this.execute('grad_step', feeds, factors, (inputs) =>
      this.accumulate(inputs),
    );
    const found = await meanOverRanks(ranks, own);
    if (ranks.size > 1) {
      await this.addRanks();
      await this.averageBuffers();
    }
    const logs = scale === undefined ? found : { ...found, loss_scale: scale };
    if ((step.iteration + 1) % n !== 0 && step.iteration + 1 !== maxIters) return logs;
    const square = ownSquare !== undefined && ranks.size > 1 ? await this.squareOfSum() : ownSquare;
    const finite = square === undefined || Number.isFinite(square);
    await this.lossScale?.settle(states, finite, step.iteration);
    if (!finite) {
      await parameters.fill(states, 'grads', 0);
      return logs;
    }
    return { ...logs, ...(await this.execute('apply_step', {}, hyperFeed, () => this.apply(hyper.length))) };
  }

  /** A frozen weight that is no number, in words; reads all of them. */
  brokenWeight = (): Promise<string | undefined> => holderOfNonFinite(this.roots);

  /** The buffer of every rank, one bucket after the other: what it then holds is the same on all. */
  private async addRanks(): Promise<void> {
    const {
      parameters,
      backend: { states },
    } = this.parts;
    for (const bucket of parameters.buckets) {
      const name = this.name('grads', bucket),
        buffer = await states.read(name);
      await this.ranks.orderedSum(floats(buffer));
      await states.write(name, buffer, true);
    }
  }

  /** Each rank has moved the model's buffers by its own batch; all go on with the mean. */
  private async averageBuffers(): Promise<void> {
    const { states } = this.parts.backend;
    for (const name of this.bufferNames) {
      const value = await states.read(name),
        sum = Float32Array.from(floats(value));
      await this.ranks.orderedSum(sum);
      await states.write(
        name,
        float32(
          sum.map((v) => v / this.ranks.size),
          value.shape,
        ),
      );
    }
  }

  private get bufferNames(): string[] {
    return Object.keys(this.parts.model.buffers()).map(bufferState);
  }

  private async squareOfSum(): Promise<number> {
    const { [GRAD_SQUARE]: square } = await this.execute('grad_square', {}, {}, () => ({
      outputs: { [GRAD_SQUARE]: squareSum(this.parts.parameters.buckets.map((b) => this.leaf('grads', b))) },
      updates: {},
    }));
    return square;
  }

  async dispose(): Promise<void> {
    for (const program of this.programs.values()) await (await program).dispose();
    this.programs.clear();
  }

  private async execute(
    name: string,
    feeds: Feeds,
    extra: Feeds,
    build: (inputs: Record<string, Tensor>) => Built,
  ): Promise<Record<string, number>> {
    const key = [
      name,
      ...Object.entries(feeds)
        .map(([k, t]) => `${k}:${t.dtype}[${t.shape}]`)
        .sort(),
    ].join('|');
    let program = this.programs.get(key);
    if (!program) {
      const inputs = Object.fromEntries(Object.entries(feeds).map(([k, t]) => [k, input(k, t.shape, t.dtype)]));
      program = this.compile(name, build(inputs));
      this.programs.set(key, program);
    }
    const fetched = await (await program).run({ ...feeds, ...extra });
    return Object.fromEntries(Object.entries(fetched).map(([k, t]) => [k, floats(t)[0]]));
  }

  private compile(name: string, { outputs, updates }: Built): Promise<Executable> {
    const { parameters, backend } = this.parts;
    const names = Object.keys(outputs),
      states = Object.keys(updates);
    const whole = parameters.bind([...names.map((n) => outputs[n]), ...states.map((s) => updates[s])], 'params');
    const bound = this.lossScale ? halfProducts(whole) : whole;
    this.roots = [...this.roots, ...bound];
    return backend.compile({
      name,
      outputs: Object.fromEntries(names.map((n, i) => [n, bound[i]])),
      updates: Object.fromEntries(states.map((s, i) => [s, bound[names.length + i]])),
    });
  }

  private lossAndGrads(inputs: Record<string, Tensor>): Built & { readonly grads: Tensor[] } {
    const { model, parameters } = this.parts;
    const { loss, logs, updates = {} } = model.loss(inputs);
    if (loss.shape.length > 0)
      throw new UserError(
        `model: its loss has shape [${loss.shape}], not that of one number; a loss ends with ops.mean(...) or ops.sum(...)`,
      );
    // `parameter` leaves are equal by name: a model may have built several of the same one.
    const leaves = topo([loss])
      .filter((n) => n.op === 'parameter')
      .map((n) => n.outs[0]);
    const byName = new Map<string, Tensor>();
    grad(this.lossScale ? mul(loss, input('step.loss_scale', [])) : loss, leaves).forEach((g, i) => {
      const name = leafName(leaves[i]),
        before = byName.get(name);
      byName.set(name, before ? add(before, g) : g);
    });
    const grads = parameters.packSymbolic((name) => byName.get(name) ?? fill(0, parameters.shapes.get(name)));
    const buffers = Object.entries(updates).map(([name, next]) => [bufferState(name), next]);
    return { outputs: { loss, ...logs }, updates: Object.fromEntries(buffers), grads };
  }

  private fused(inputs: Record<string, Tensor>, hyperLength: number): Built {
    const { outputs, grads, updates: buffers } = this.lossAndGrads(inputs);
    const { norm, logs, updates } = this.optimize(grads, hyperLength);
    return { outputs: { ...outputs, grad_norm: norm, ...logs }, updates: { ...updates, ...buffers } };
  }

  private accumulate(inputs: Record<string, Tensor>): Built {
    const { outputs, grads, updates } = this.lossAndGrads(inputs);
    const share = input('step.share', []),
      shares = grads.map((g) => mul(g, share));
    // Of several ranks the first one's buffer has what came before; the others' share is added to it.
    const { buckets } = this.parts.parameters,
      sums = this.ranks.rank === 0 ? buckets.map((b, i) => add(this.leaf('grads', b), shares[i])) : shares;
    const squares: Record<string, Tensor> = this.lossScale ? { [GRAD_SQUARE]: squareSum(sums) } : {};
    return {
      outputs: { ...outputs, ...squares },
      updates: { ...updates, ...this.eachBucket((b, i) => ({ [this.name('grads', b)]: sums[i] })) },
    };
  }

  private apply(hyperLength: number): Built {
    const { norm, logs, updates, clipped } = this.optimize(
      this.parts.parameters.buckets.map((b) => this.leaf('grads', b)),
      hyperLength,
    );
    // Of the clipped ones: whatever reads the old ones is computed before, so that they can be written over.
    const cleared = this.eachBucket((b, i) => ({ [this.name('grads', b)]: mul(clipped[i], 0) }));
    return { outputs: { grad_norm: norm, ...logs }, updates: { ...updates, ...cleared } };
  }

  /** Clips by the global norm and applies the optimizer. */
  private optimize(
    grads: readonly Tensor[],
    hyperLength: number,
  ): {
    norm: Tensor;
    logs: Readonly<Record<string, Tensor>>;
    updates: Record<string, Tensor>;
    clipped: readonly Tensor[];
  } {
    const { optimizer, clipMaxNorm } = this.parts;
    const vector = input('step.hyper', [hyperLength]);
    const hyper = Array.from({ length: hyperLength }, (_, i) => reshape(narrow(vector, 0, i, i + 1), []));
    const norm = sqrt(squareSum(grads));
    const factor = clipMaxNorm === undefined ? undefined : minimum(div(clipMaxNorm, add(norm, CLIP_EPS)), 1);
    const clipped = factor ? grads.map((g) => mul(g, factor)) : grads;
    const parts = this.parts.parameters.buckets.map((bucket, i) => ({
      bucket,
      param: this.leaf('params', bucket),
      grad: clipped[i],
      slots: optimizer.slots.map((s) => this.leaf(s, bucket)),
    }));
    const own = this.own.map((s) => state(ownName(s), s.shape, s.dtype));
    const next = optimizer.updateAll(parts, hyper, own);
    const updates = this.eachBucket((bucket, i) => ({
      [this.name('params', bucket)]: next.parts[i].param,
      // A slot that stays as it is needs no update.
      ...Object.fromEntries(
        optimizer.slots.flatMap((s, k) =>
          next.parts[i].slots[k] === parts[i].slots[k] ? [] : [[this.name(s, bucket), next.parts[i].slots[k]]],
        ),
      ),
    }));
    for (const [i, s] of this.own.entries()) updates[ownName(s)] = next.own[i];
    return { norm, logs: next.logs ?? {}, updates, clipped };
  }

  private eachBucket(make: (bucket: Bucket, index: number) => Record<string, Tensor>): Record<string, Tensor> {
    return Object.assign({}, ...this.parts.parameters.buckets.map(make)) as Record<string, Tensor>;
  }

  private leaf = (purpose: string, bucket: Bucket): Tensor => this.parts.parameters.stateLeaf(purpose, bucket);
  private name = (purpose: string, bucket: Bucket): string => this.parts.parameters.stateName(purpose, bucket);
}

/** The backend state of what an optimizer keeps beside the slots. */
const ownName = ({ name }: OwnState): string => `optimizer/${name}`;

function filled({ dtype = 'float32', shape, start }: OwnState): HostTensor {
  const value = zeros(dtype, shape);
  if (start !== 0) (value.data as Float32Array).fill(start);
  return value;
}

const squareSum = (tensors: readonly Tensor[]): Tensor =>
  tensors.map((t) => sum(square(t))).reduce((a, b) => add(a, b));

interface Built {
  readonly outputs: Record<string, Tensor>;
  readonly updates: Record<string, Tensor>;
}
