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
    broken = new Map<string, string[]>(), // reason to pictures
    bar = track(logger, { what: 'pictures checked', total });
  let next = 0,
    done = 0;
  const lane = async (): Promise<void> => {
    while (next < total && !signal?.aborted) {
      const { source, text } = candidates[next++];
      try {
        await pipeline.run(source, text, stream);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        const reason = error.message.replace(`${source.name}: `, '');
        broken.set(reason, [...(broken.get(reason) ?? []), source.name]);
      }
      bar.update(++done);
    }
  };
  try {
    await Promise.all(Array.from({ length: LANES }, lane));
  } finally {
    bar.stop();
  }
  if (broken.size > 0) throw unusable(broken, total);
}

function unusable(broken: ReadonlyMap<string, readonly string[]>, total: number): UserError {
  const reasons = [...broken].map(([reason, names]) => `${examples([...names].sort())}: ${reason}`),
    all = [...broken.values()].flat().length;
  return new UserError(
    all === 1 ? reasons[0] : `${all} of ${count(total, 'picture')} cannot be used: ${reasons.join('. ')}`,
  );
}
