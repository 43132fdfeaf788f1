/** Every picture is tried before training, so that a broken one is found now and not in the middle of the night. */
import { UserError } from '../base/errors.js';
import { track } from '../base/progress.js';
import { Rng } from '../base/rng.js';
import type { DatasetServices } from './dataset.js';
import { count, examples } from './folder.js';
import type { Pipeline, Source } from './pipeline.js';

export interface Candidate {
  readonly source: Source;
  readonly text: string;
}

const LANES = 4; // decoders run in threads of their own

/**
 * Decodes pictures and runs them through the pipeline, once each. What chance draws here is thrown away; what it cannot
 * change stays in the pipeline's memory. Stops early when the run is asked to stop.
 * @param most how many to try, from the first on; null: all
 * @throws UserError that names all pictures that cannot be used
 */
export async function checkPictures(
  candidates: readonly Candidate[],
  pipeline: Pipeline,
  { logger, signal, checkPictures: atMost }: DatasetServices,
  most: number | null = null,
): Promise<void> {
  const total = Math.min(candidates.length, most ?? Infinity, atMost ?? Infinity),
    stream = new Rng(0).stream('check'),
    broken: Broken[] = [],
    bar = track(logger, { what: 'pictures checked', total });
  let next = 0,
    done = 0;
  const lane = async (): Promise<void> => {
    while (next < total && !signal?.aborted) {
      const at = next++,
        { source, text } = candidates[at];
      try {
        await pipeline.run(source, text, stream);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        broken.push({ at, name: source.name, reason: error.message.replace(`${source.name}: `, '') });
      }
      bar.update(++done);
    }
  };
  try {
    await Promise.all(Array.from({ length: LANES }, lane));
  } finally {
    bar.stop();
  }
  if (broken.length > 0) throw unusable(broken, total);
}

interface Broken {
  /** place among the candidates */
  readonly at: number;
  readonly name: string;
  readonly reason: string;
}

/** In the order of the candidates, whichever was decoded first. */
function unusable(broken: readonly Broken[], total: number): UserError {
  const byReason = new Map<string, string[]>();
  for (const { reason, name } of [...broken].sort((a, b) => a.at - b.at))
    byReason.set(reason, [...(byReason.get(reason) ?? []), name]);
  const reasons = [...byReason].map(([reason, names]) => `${examples([...names].sort())}: ${reason}`);
  return new UserError(
    broken.length === 1
      ? reasons[0]
      : `${broken.length} of ${count(total, 'picture')} cannot be used: ${reasons.join('. ')}`,
  );
}
