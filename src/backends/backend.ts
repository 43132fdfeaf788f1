/** What runs a program. Models and the engine know this file only. */
import { token } from '../registry/tokens.js';
import { Registry } from '../registry/registry.js';
import type { HostTensor } from '../tensor/host.js';
import type { Tensor, TensorType } from '../tensor/tensor.js';

/** One compiled unit: named results, and new values for states. Leaves (inputs, weights, states) are found by walking. */
export interface Program {
  readonly name: string;
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** state name -> its next value; same shape and dtype as the state leaf of that name */
  readonly updates?: Readonly<Record<string, Tensor>>;
}

/** What a program computes: its results, then the new values of states. */
export const rootsOf = ({ outputs, updates = {} }: Pick<Program, 'outputs' | 'updates'>): Tensor[] => [
  ...Object.values(outputs),
  ...Object.values(updates),
];

/** The program with other tensors in place of its roots, in the order of `rootsOf`. */
export function withRoots({ name, outputs, updates = {} }: Program, roots: readonly Tensor[]): Program {
  const take = (keys: readonly string[], from: number): Record<string, Tensor> =>
    Object.fromEntries(keys.map((key, i) => [key, roots[from + i]]));
  const names = Object.keys(outputs);
  return { name, outputs: take(names, 0), updates: take(Object.keys(updates), names.length) };
}

export type Feeds = Readonly<Record<string, HostTensor>>;
export type Fetches = Record<string, HostTensor>;

export interface Executable {
  /** Feeds every `input` leaf by name; resolves to `outputs`. Updates are visible to all programs when it resolves. */
  run(feeds: Feeds): Promise<Fetches>;
  dispose(): Promise<void>;
}

/** Buffers that live with the backend, shared by all its programs. */
export interface StateStore {
  /** @param given the caller does not use the value again, so that it need not be copied */
  write(name: string, value: HostTensor, given?: boolean): Promise<void>;
  /** @throws Error for a name that was never written */
  type(name: string): Promise<TensorType>;
  /** @throws Error for a name that was never written */
  read(name: string): Promise<HostTensor>;
  delete(name: string): Promise<void>;
}

/** One line of `diffengine doctor`. */
export interface Finding {
  readonly what: string;
  readonly found: string;
  /** what the user may do about it */
  readonly advice?: string;
}

/** The class of a backend may tell what it finds on this machine. */
export interface Diagnosing {
  diagnose(): Promise<readonly Finding[]>;
}

export interface Backend {
  readonly name: string;
  readonly states: StateStore;
  compile(program: Program): Promise<Executable>;
  dispose(): Promise<void>;
}

export const BACKENDS = new Registry<Backend>('BACKENDS', 'backend');

export const BACKEND = token<Backend>('BACKEND');
