import type { RandomStream } from '../../base/rng.js';

/**
 * A timestep in [0, total), where those in [begin, end) are `multiplier` times as likely as the others.
 * One uniform per call, so that a stream serves every generator alike.
 */
export function biasedTimestep(
  total: number,
  begin: number,
  end: number,
  multiplier: number,
  stream: RandomStream,
): number {
  const inside = (end - begin) * multiplier,
    weight = total - (end - begin) + inside;
  const at = stream.uniform() * weight;
  if (at < begin) return Math.floor(at);
  if (at < begin + inside) return Math.min(end - 1, begin + Math.floor((at - begin) / multiplier));
  return Math.min(total - 1, end + Math.floor(at - begin - inside));
}

/** Options of the generators that prefer one end. */
export const biasProperties = {
  bias_multiplier: {
    type: 'number',
    exclusiveMinimum: 0,
    default: 5,
    description: 'how much likelier the preferred timesteps are',
  },
  bias_portion: {
    type: 'number',
    minimum: 0,
    maximum: 1,
    default: 0.25,
    description: 'share of the timesteps that is preferred',
  },
} as const;
