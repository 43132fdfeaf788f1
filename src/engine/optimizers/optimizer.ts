/** An update rule as a graph over flat vectors, and the numbers of each step that enter it as an input. */
import { Registry } from '../../registry/registry.js';
import type { Tensor } from '../../tensor/tensor.js';

export interface Update {
  readonly param: Tensor;
  /** next value of each slot, in the order of `slots` */
  readonly slots: readonly Tensor[];
}

export abstract class Optimizer {
  /** Base learning rate; schedules multiply it. */
  abstract readonly lr: number;
  /** State kept per parameter, e.g. `['exp_avg', 'exp_avg_sq']`; starts at zero. */
  abstract readonly slots: readonly string[];
  /** The scalars of update number `step` (from 1) at learning rate `lr`; fed to the program as one vector. */
  abstract hyper(step: number, lr: number): readonly number[];
  /** @param hyper one scalar tensor per number of `hyper()`; all other tensors are flat float32 of equal length */
  abstract update(param: Tensor, grad: Tensor, slots: readonly Tensor[], hyper: readonly Tensor[]): Update;
}

export const OPTIMIZERS = new Registry<Optimizer>('OPTIMIZERS', 'optimizer');
