/** Which timesteps are visited: the three spacings of Lin et al., arXiv 2305.08891, table 2, with NumPy's roundings. */
import { UserError } from '../../base/errors.js';

export interface Spacing {
  readonly num_train_timesteps: number;
  readonly timestep_spacing: string;
  readonly steps_offset: number;
}

/** NumPy's rounding: halves to even. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x),
    rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** @throws UserError unless `steps` is a whole number from 1 to `most` */
export function checkSteps(steps: number, most: number): void {
  if (!Number.isInteger(steps) || steps < 1 || steps > most)
    throw new UserError(`steps: ${steps}; the number of sampling steps is a whole number from 1 to ${most}`);
}

/**
 * n timesteps from the noisiest, whole numbers (not rounded for `linspace` when `exact`).
 * @throws UserError when n is not from 1 to num_train_timesteps, or steps_offset pushes the first beyond the last that was trained
 */
export function spacedTimesteps(n: number, spacing: Spacing, exact = false): number[] {
  const { num_train_timesteps: total, timestep_spacing: kind } = spacing;
  checkSteps(n, total);
  switch (kind) {
    case 'linspace':
      return linspace(total - 1, n).map(exact ? Math.fround : roundHalfEven);
    case 'leading':
      return leading(n, n, total, spacing);
    default:
      return trailing(n, total, total);
  }
}

/**
 * As `spacedTimesteps` for the solvers in log-SNR time: "linspace" and "leading" spread one point more and leave out the cleanest.
 * @param top how many of the timesteps are used, num_train_timesteps unless the noisiest are left out
 */
export function solverTimesteps(n: number, spacing: Spacing, top = spacing.num_train_timesteps): number[] {
  const { num_train_timesteps: total, timestep_spacing: kind } = spacing;
  checkSteps(n, kind === 'trailing' ? total : top - 1);
  switch (kind) {
    case 'linspace':
      return linspace(top - 1, n + 1)
        .slice(0, n)
        .map(roundHalfEven);
    case 'leading':
      return leading(n, n + 1, top, spacing);
    default:
      return trailing(n, total, top);
  }
}

/** From `last` down to 0, as NumPy's linspace backwards. */
function linspace(last: number, n: number): number[] {
  const step = last / Math.max(n - 1, 1);
  return Array.from({ length: n }, (_, i) => n - 1 - i).map((i) => (n > 1 && i === n - 1 ? last : i * step));
}

/** The n noisiest of `points` multiples of a whole distance. */
function leading(
  n: number,
  points: number,
  top: number,
  { steps_offset: offset, num_train_timesteps: total }: Spacing,
): number[] {
  const distance = Math.floor(top / points);
  const timesteps = Array.from({ length: n }, (_, i) => (points - 1 - i) * distance + offset);
  if (timesteps[0] >= total)
    throw new UserError(
      `steps: with steps_offset ${offset} the first would be timestep ${timesteps[0]}, but ${total - 1} is the last of training; use fewer steps`,
    );
  return timesteps;
}

/** At distances of total / n below `top`; the difference of the first two, rounded, is NumPy's step. */
function trailing(n: number, total: number, top: number): number[] {
  const step = top - total / n - top;
  return Array.from({ length: n }, (_, i) => roundHalfEven(top + i * step) - 1).filter((t) => t >= 0);
}
