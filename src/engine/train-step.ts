/**
 * One optimisation step as compiled programs: loss, gradients, clipping and the optimizer in one graph; with gradient
 * accumulation, a program that adds gradients to a buffer and one that applies it.
 */
import type { Backend, Executable, Feeds } from '../backends/backend.js';
import { UserError } from '../errors.js';
import type { Model } from '../models/model.js';
import { floats, float32, scalar, type HostTensor } from '../tensor/host.js';
import { add, div, minimum, mul, narrow, reshape, sqrt, square, sum } from '../tensor/ops.js';
import { grad } from '../tensor/autodiff.js';
import { fill, input, leafName, topo, type Tensor } from '../tensor/tensor.js';
import type { Optimizer } from './optimizers/optimizer.js';
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
  readonly maxIters: number;
}

export class TrainStep {
  /** Every backend state that training needs to go on. */
  readonly stateNames: readonly string[];
  private readonly programs = new Map<string, Promise<Executable>>();

  constructor(private readonly parts: TrainStepParts) {
    const purposes = ['params', ...parts.optimizer.slots, ...(parts.accumulativeCounts > 1 ? ['grads'] : [])];
    this.stateNames = purposes.flatMap((p) => parts.parameters.stateNames(p));
  }

  /** Writes the start values and empty slots. */
  async init(values: Readonly<Record<string, HostTensor>>): Promise<void> {
    const { parameters, backend, optimizer, accumulativeCounts } = this.parts;
    await parameters.write(backend.states, 'params', values);
    for (const slot of optimizer.slots) await parameters.fill(backend.states, slot, 0);
    if (accumulativeCounts > 1) await parameters.fill(backend.states, 'grads', 0);
  }

  /**
   * Runs iteration `iteration` (0-based); every `accumulativeCounts`-th one, and the last, updates the parameters.
   * @param step.lr learning rate of this iteration
   * @returns loss of this batch, the model's logs, and `grad_norm` (before clipping) when parameters were updated
   */
  async run(feeds: Feeds, step: { iteration: number; lr: number }): Promise<Record<string, number>> {
    const { accumulativeCounts: n, maxIters, optimizer } = this.parts;
    const updates = Math.floor(step.iteration / n) + 1;
    const hyper = optimizer.hyper(updates, step.lr);
    const hyperFeed = { 'step.hyper': float32(hyper, [hyper.length]) };
    if (n === 1) return this.execute('train_step', feeds, hyperFeed, (inputs) => this.fused(inputs, hyper.length));

    // As mmengine's OptimWrapper: the last, shorter group is averaged over its own length.
    const group = Math.min(n, maxIters - (updates - 1) * n);
    const logs = await this.execute('grad_step', feeds, { 'step.share': scalar(1 / group) }, (inputs) => this.accumulate(inputs));
    if ((step.iteration + 1) % n !== 0 && step.iteration + 1 !== maxIters) return logs;
    return { ...logs, ...(await this.execute('apply_step', {}, hyperFeed, () => this.apply(hyper.length))) };
  }

  async dispose(): Promise<void> {
    for (const program of this.programs.values()) await (await program).dispose();
    this.programs.clear();
  }

  private async execute(name: string, feeds: Feeds, extra: Feeds, build: (inputs: Record<string, Tensor>) => Built): Promise<Record<string, number>> {
    const key = [name, ...Object.entries(feeds).map(([k, t]) => `${k}:${t.dtype}[${t.shape}]`).sort()].join('|');
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
    const names = Object.keys(outputs), states = Object.keys(updates);
    const bound = parameters.bind([...names.map((n) => outputs[n]), ...states.map((s) => updates[s])], 'params');
    return backend.compile({
      name,
      outputs: Object.fromEntries(names.map((n, i) => [n, bound[i]])),
      updates: Object.fromEntries(states.map((s, i) => [s, bound[names.length + i]])),
    });
  }

  private lossAndGrads(inputs: Record<string, Tensor>): { outputs: Record<string, Tensor>; grads: Tensor[] } {
    const { model, parameters } = this.parts;
    const { loss, logs } = model.loss(inputs);
    if (loss.shape.length > 0) throw new UserError(`model: its loss has shape [${loss.shape}], not that of one number; a loss ends with ops.mean(...) or ops.sum(...)`);
    // `parameter` leaves are equal by name: a model may have built several of the same one.
    const leaves = topo([loss]).filter((n) => n.op === 'parameter').map((n) => n.outs[0]);
    const byName = new Map<string, Tensor>();
    grad(loss, leaves).forEach((g, i) => {
      const name = leafName(leaves[i]), before = byName.get(name);
      byName.set(name, before ? add(before, g) : g);
    });
    const grads = parameters.packSymbolic((name) => byName.get(name) ?? fill(0, parameters.shapes.get(name)));
    return { outputs: { loss, ...logs }, grads };
  }

  private fused(inputs: Record<string, Tensor>, hyperLength: number): Built {
    const { outputs, grads } = this.lossAndGrads(inputs);
    const { norm, updates } = this.optimize(grads, hyperLength);
    return { outputs: { ...outputs, grad_norm: norm }, updates };
  }

  private accumulate(inputs: Record<string, Tensor>): Built {
    const { outputs, grads } = this.lossAndGrads(inputs);
    const share = input('step.share', []);
    return { outputs, updates: this.eachBucket((b, i) => ({ [this.name('grads', b)]: add(this.leaf('grads', b), mul(grads[i], share)) })) };
  }

  private apply(hyperLength: number): Built {
    const { norm, updates, clipped } = this.optimize(this.parts.parameters.buckets.map((b) => this.leaf('grads', b)), hyperLength);
    // Of the clipped ones: whatever reads the old ones is computed before, so that they can be written over.
    const cleared = this.eachBucket((b, i) => ({ [this.name('grads', b)]: mul(clipped[i], 0) }));
    return { outputs: { grad_norm: norm }, updates: { ...updates, ...cleared } };
  }

  /** Clips by the global norm and applies the optimizer to every bucket. */
  private optimize(grads: readonly Tensor[], hyperLength: number): { norm: Tensor; updates: Record<string, Tensor>; clipped: readonly Tensor[] } {
    const { optimizer, clipMaxNorm } = this.parts;
    const vector = input('step.hyper', [hyperLength]);
    const hyper = Array.from({ length: hyperLength }, (_, i) => reshape(narrow(vector, 0, i, i + 1), []));
    const norm = sqrt(grads.map((g) => sum(square(g))).reduce((a, b) => add(a, b)));
    const factor = clipMaxNorm === undefined ? undefined : minimum(div(clipMaxNorm, add(norm, CLIP_EPS)), 1);
    const clipped = factor ? grads.map((g) => mul(g, factor)) : grads;
    const updates = this.eachBucket((bucket, i) => {
      const slots = optimizer.slots.map((s) => this.leaf(s, bucket));
      const next = optimizer.update(this.leaf('params', bucket), clipped[i], slots, hyper);
      return { [this.name('params', bucket)]: next.param, ...Object.fromEntries(optimizer.slots.map((s, k) => [this.name(s, bucket), next.slots[k]])) };
    });
    return { norm, updates, clipped };
  }

  private eachBucket(make: (bucket: Bucket, index: number) => Record<string, Tensor>): Record<string, Tensor> {
    return Object.assign({}, ...this.parts.parameters.buckets.map(make)) as Record<string, Tensor>;
  }

  private leaf = (purpose: string, bucket: Bucket): Tensor => this.parts.parameters.stateLeaf(purpose, bucket);
  private name = (purpose: string, bucket: Bucket): string => this.parts.parameters.stateName(purpose, bucket);
}

interface Built {
  readonly outputs: Record<string, Tensor>;
  readonly updates: Record<string, Tensor>;
}
