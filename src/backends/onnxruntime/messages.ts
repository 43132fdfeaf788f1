/** What the backend and its worker thread say to each other. */
import type { DType, Shape, TypedArray } from '../../tensor/host.js';

/** A tensor as structured clone carries it. */
export interface Wire { readonly dtype: DType; readonly shape: Shape; readonly data: TypedArray }

export interface SessionSpec {
  readonly modelPath: string;
  readonly device: string;
  readonly graphOptimizationLevel: string;
  readonly threads: number;
  /** graph input -> state name */
  readonly states: readonly (readonly [string, string])[];
  /** graph output -> state name */
  readonly updates: readonly (readonly [string, string])[];
  /** graph output -> program output */
  readonly outputs: readonly (readonly [string, string])[];
}

export type Request =
  | { readonly kind: 'compile'; readonly spec: SessionSpec }
  | { readonly kind: 'run'; readonly session: number; readonly feeds: Readonly<Record<string, Wire>> }
  | { readonly kind: 'release'; readonly session: number }
  | { readonly kind: 'write'; readonly name: string; readonly value: Wire }
  | { readonly kind: 'read'; readonly name: string }
  | { readonly kind: 'delete'; readonly name: string };

export interface Reply { readonly id: number; readonly value?: unknown; readonly error?: string }
