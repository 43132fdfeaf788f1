/** Parameters after some steps of Adam beside those of a reference run. */
import { floats } from '../../src/tensor/host.js';
import type { Golden } from './context.js';
import type { Values } from './gradients.js';
import { LIMITS } from './limits.js';

export interface Updates {
  readonly label: string;
  readonly init: Values;
  readonly after: Values;
  readonly expected: Values;
  /** of each value of `expected`, in its order: whether rounding cannot turn the sign of its first gradient */
  readonly sure: readonly boolean[];
  /** how far apart the others may be: all that the steps made can bring about */
  readonly reach: number;
  /** the reference's own rounding error, absolute; 0 where it is below the usual limits */
  readonly noise: number;
}

/** A small multiple of the reference's own rounding error, where that is larger than the usual limit. */
export const SLACK = 5;

/** Values by the order of `names`, one after the other. */
export const flatten = (names: readonly string[], values: Values): number[] =>
  names.flatMap((name) => Array.from(floats(values[name])));

/**
 * Adam's first steps act on the sign of a gradient: where the reference's own rounding could turn it, a value may be
 * anywhere within the steps made. These values are held to that, all others to the usual limits.
 */
export function compareUpdates(golden: Golden, updates: Updates): void {
  const { label, sure, reach, noise } = updates;
  const names = Object.keys(updates.expected);
  const [got, wanted, start] = [updates.after, updates.expected, updates.init].map((v) => flatten(names, v));
  const pick = (values: readonly number[], which: boolean): number[] => values.filter((_, i) => sure[i] === which);
  golden.report.abs(`${label}/max`, pick(got, true), pick(wanted, true), Math.max(LIMITS.updateMax, SLACK * noise));
  golden.report.rms(`${label}/rms`, pick(got, true), pick(wanted, true), Math.max(LIMITS.updateRms, noise));
  const moved = wanted.map((v, i) => v - start[i]);
  const size = Math.sqrt(moved.reduce((sum, v) => sum + v * v, 0) / moved.length);
  const ours = got.map((v, i) => v - start[i]);
  const angle = Math.max(LIMITS.updateCosine, 0.5 * (noise / size) ** 2);
  golden.report.cosine(`${label}/update direction`, pick(ours, true), pick(moved, true), angle);
  const lost = pick(got, false);
  if (lost.length > 0)
    golden.report.abs(`${label}/max of ${lost.length} undetermined`, lost, pick(wanted, false), reach);
}
