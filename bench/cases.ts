/** Which cases a run measures, and what they need. */

export const MODES = ['lora', 'full', 'sample', 'encode', 'decode', 'text'] as const;
/** `attention`: one self-attention with its gradient, for the growth of memory */
export type Mode = (typeof MODES)[number] | 'attention';

export interface Case {
  readonly layout: string;
  /** pixels */
  readonly size: number;
  readonly mode: Mode;
  /** samples per training step; everything else takes one picture or prompt, as a run does */
  readonly batch: number;
}

/** What the process of a case is told. */
export interface CaseSpec extends Case {
  /** pipeline folder */
  readonly folder: string;
  readonly reps: number;
  /** no further repetition after so many seconds, but two at least */
  readonly seconds: number;
}

export interface Selection {
  readonly layouts: readonly string[];
  readonly sizes: readonly number[];
  readonly batches: readonly number[];
  readonly modes: readonly Mode[];
}

/** Full training is measured at its usual size only; what all layouts share (VAE, text encoder) is measured in the first. */
export function casesOf({ layouts, sizes, batches, modes }: Selection): Case[] {
  const all = layouts.flatMap((layout, l) =>
    sizes.flatMap((size, s) =>
      modes.flatMap((mode) => (isTraining(mode) ? batches : [1]).map((batch) => ({ layout, size, mode, batch, l, s }))),
    ),
  );
  return all
    .filter(({ mode, size }) => mode !== 'full' || size === FULL_SIZE)
    .filter(({ mode, l, s }) =>
      mode === 'text' ? l + s === 0 : mode !== 'encode' && mode !== 'decode' ? true : l === 0,
    )
    .map(({ layout, size, mode, batch }) => ({ layout, size, mode, batch }));
}

const isTraining = (mode: Mode): boolean => mode === 'lora' || mode === 'full';
const FULL_SIZE = 256;

/** Modes of the opponent, `torch_step.py`: it has no VAE and no text encoder. A guided sampling step is a forward pass of two. */
export function peerMode({ mode, batch }: Case): { mode: string; batch: number } | undefined {
  if (mode === 'lora' || mode === 'full') return { mode, batch };
  return mode === 'sample' ? { mode: 'forward', batch: 2 } : undefined;
}
export const PEER_LAYOUTS = ['sd15', 'small', 'bk_small', 'tiny'];

/** Parameters of the U-Nets, millions. */
const MILLIONS: Readonly<Record<string, number>> = { sd15: 860, small: 579, bk_small: 483, tiny: 323 };

/**
 * Memory below which a case is not started, MB: deliberately low, for a process that nears the end of memory is stopped
 * anyway. Weights; with full training also gradients and two moments, of which one is held twice while it is replaced;
 * activations of 0.4 MB per latent pixel, twice that with SD 1.5's two layers per block.
 */
export function neededMegabytes({ layout, size, mode, batch }: Case): number {
  const process = 300,
    weights = ((MILLIONS[layout] ?? 10) * 4e6) / 2 ** 20,
    pixels = (size / 8) ** 2;
  const activations = isTraining(mode)
    ? pixels * batch * (layout === 'sd15' ? 0.8 : layout in MILLIONS ? 0.4 : 0.02)
    : pixels * 0.1;
  return Math.round(process + weights * (mode === 'full' ? 4.5 : 1) + activations);
}

/** Above this, a process is told to end before the system ends one of its own choice. */
export const LEAST_FREE_MB = 700;

/** undefined: enough */
export function tooLarge(c: Case, availableMb: number): string | undefined {
  const needed = neededMegabytes(c),
    gb = (mb: number): string => (mb / 1024).toFixed(1);
  return needed + LEAST_FREE_MB > availableMb
    ? `needs about ${gb(needed)} GB, ${gb(availableMb)} GB are free`
    : undefined;
}
