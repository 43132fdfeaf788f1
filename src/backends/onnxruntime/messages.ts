/** What the backend and its worker thread say to each other. */
import type { DType, HostTensor, Shape } from '../../tensor/host.js';

/** Where the worker thread computes. */
export interface Place {
  readonly device: string;
  /** which of several */
  readonly id: number;
  /** States lie in memory of the device between runs. */
  readonly resident: boolean;
}

export interface SessionSpec {
  readonly modelPath: string;
  readonly graphOptimizationLevel: string;
  readonly threads: number;
  /** graph input -> state name */
  readonly states: readonly (readonly [string, string])[];
  /** New values of states; `inPlace`: written over the old one. */
  readonly updates: readonly (Result & { readonly inPlace: boolean })[];
  readonly outputs: readonly Result[];
  /** The graph output that cannot be handed over: all results are then written to memory of ours. */
  readonly withheld: string | null;
}

export interface Result {
  /** of the program's output or of the state */
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** output of the graph, and its shape there */
  readonly graphName: string;
  readonly graphShape: Shape;
}

export type Request =
  | { readonly kind: 'load' }
  | { readonly kind: 'compile'; readonly spec: SessionSpec }
  | {
      readonly kind: 'run';
      readonly session: number;
      /** by graph input */ readonly feeds: Readonly<Record<string, HostTensor>>;
    }
  | { readonly kind: 'release'; readonly session: number }
  | { readonly kind: 'write'; readonly name: string; readonly value: HostTensor }
  | { readonly kind: 'type'; readonly name: string }
  | { readonly kind: 'read'; readonly name: string }
  | { readonly kind: 'delete'; readonly name: string };

export interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** Buffers that go to the other thread instead of being copied once more: only those of copies made for it. */
export const buffersOf = (tensors: readonly HostTensor[]): ArrayBuffer[] =>
  tensors.map(({ data }) => data.buffer as ArrayBuffer);
