/** What the backend and its worker thread say to each other. */
import type { HostTensor } from '../../tensor/host.js';

/** Where the worker thread computes. */
export interface Place {
  readonly device: string;
  /** States lie in memory of the device between runs. */
  readonly resident: boolean;
}

export interface SessionSpec {
  readonly modelPath: string;
  readonly graphOptimizationLevel: string;
  readonly threads: number;
  /** graph input -> state name */
  readonly states: readonly (readonly [string, string])[];
  /** graph output -> state name */
  readonly updates: readonly (readonly [string, string])[];
  /** graph outputs of `updates` that are written over the old value of the state */
  readonly inPlace: readonly string[];
  /** graph output -> program output */
  readonly outputs: readonly (readonly [string, string])[];
}

export type Request =
  | { readonly kind: 'compile'; readonly spec: SessionSpec }
  | { readonly kind: 'run'; readonly session: number; /** by graph input */ readonly feeds: Readonly<Record<string, HostTensor>> }
  | { readonly kind: 'release'; readonly session: number }
  | { readonly kind: 'write'; readonly name: string; readonly value: HostTensor }
  | { readonly kind: 'read'; readonly name: string }
  | { readonly kind: 'delete'; readonly name: string };

export interface Reply { readonly id: number; readonly value?: unknown; readonly error?: string }

/** Buffers that go to the other thread instead of being copied once more: only those of copies made for it. */
export const buffersOf = (tensors: readonly HostTensor[]): ArrayBuffer[] => tensors.map(({ data }) => data.buffer as ArrayBuffer);
