/** An update rule as a graph over flat vectors, and the numbers of each step that enter it as an input. */
import { Registry } from '../../registry/registry.js';
import type { DType, Shape } from '../../tensor/host.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Bucket } from '../parameters.js';

export interface Update {
  readonly param: Tensor;
  /** next value of each slot, in the order of `slots` */
  readonly slots: readonly Tensor[];
}

/** A vector of parameters with what belongs to it, all flat float32 of equal length. */
export interface Part {
  /** which parameters lie where in the vectors */
  readonly bucket: Bucket;
  readonly param: Tensor;
  readonly grad: Tensor;
  readonly slots: readonly Tensor[];
}

/** A state beside the slots, of another length than the parameters. */
export interface OwnState {
  readonly name: string;
  /** float32 if absent */
  readonly dtype?: DType;
  readonly shape: Shape;
  /** what all its values start at */
  readonly start: number;
}

export interface WholeUpdate {
  readonly parts: readonly Update[];
  /** next value of each own state, in their order */
  readonly own: readonly Tensor[];
  /** numbers for the log of the run, shape [] */
  readonly logs?: Readonly<Record<string, Tensor>>;
}

export abstract class Optimizer {
  /** Base learning rate; schedules multiply it. */
  abstract readonly lr: number;
  /** State kept per parameter, e.g. `['exp_avg', 'exp_avg_sq']`; starts at zero. */
  abstract readonly slots: readonly string[];
  /** Slots that start at the parameters' own values instead. */
  readonly copies: readonly string[] = [];
  /** The scalars of update number `step` (from 1) at learning rate `lr`; fed to the program as one vector. */
  abstract hyper(step: number, lr: number): readonly number[];

  /** States for all parameters together, or of other shapes than theirs. */
  own(_buckets: readonly Bucket[]): readonly OwnState[] {
    return [];
  }

  /** @param hyper one scalar tensor per number of `hyper()`; all other tensors are flat float32 of equal length */
  update(_param: Tensor, _grad: Tensor, _slots: readonly Tensor[], _hyper: readonly Tensor[]): Update {
    throw new Error(`${this.constructor.name}: defines neither update nor updateAll`);
  }

  /** The whole step; by default each vector alone. @param _own the own states, in their order */
  updateAll(parts: readonly Part[], hyper: readonly Tensor[], _own: readonly Tensor[]): WholeUpdate {
    return { parts: parts.map(({ param, grad, slots }) => this.update(param, grad, slots, hyper)), own: [] };
  }
}

export const OPTIMIZERS = new Registry<Optimizer>('OPTIMIZERS', 'optimizer');
