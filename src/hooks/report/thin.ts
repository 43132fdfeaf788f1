/** Less of a long run, so that its report can be mailed. What is left out is said. */
import type { Preview, Scalars } from '../../runs/run-view.js';

/** A screen has no more columns. */
const MAX_POINTS = 2000;
const MAX_PREVIEWS = 10;
const MAX_PROMPTS = 12;
const MAX_TRAINING = 8;

interface Thinned<T> {
  readonly kept: T;
  /** undefined: all of it is there */
  readonly said: string | undefined;
}

/** Each point the mean of as many iterations: what smooths it later sees the same course. */
export function thinScalars(scalars: Scalars, most = MAX_POINTS): Thinned<Scalars> {
  const longest = Math.max(0, ...Object.values(scalars).map(({ iter }) => iter.length)),
    size = Math.ceil(longest / most);
  if (size <= 1) return { kept: scalars, said: undefined };
  const kept = Object.fromEntries(
    Object.entries(scalars).map(([name, curve]) => [name, curve.iter.length <= most ? curve : means(curve, size)]),
  );
  return { kept, said: `Each point of a long curve is the mean of ${size} values.` };
}

/** The last iteration of each group, and the mean of its values. */
function means({ iter, value }: Scalars[string], size: number): Scalars[string] {
  const groups = Array.from({ length: Math.ceil(iter.length / size) }, (_, i) => i * size);
  return {
    iter: groups.map((start) => iter[Math.min(start + size, iter.length) - 1]),
    value: groups.map((start) => {
      const group = value.slice(start, start + size);
      return group.reduce((sum, v) => sum + v, 0) / group.length;
    }),
  };
}

/** The first, the last, and as evenly as possible between them. */
export function thinPreviews(previews: readonly Preview[]): Thinned<readonly Preview[]> {
  const places = spread(previews.length, MAX_PREVIEWS),
    prompts = Math.max(0, ...previews.map(({ pictures }) => pictures.length));
  const kept = places.map((i) => ({ ...previews[i], pictures: previews[i].pictures.slice(0, MAX_PROMPTS) }));
  const said = [
    places.length < previews.length && `the pictures of ${places.length} of ${previews.length} moments`,
    prompts > MAX_PROMPTS && `${MAX_PROMPTS} of ${prompts} prompts`,
  ].filter((text) => text !== false);
  return { kept, said: said.length === 0 ? undefined : `It has ${said.join(' and ')}.` };
}

export function thinTraining<T>(pictures: readonly T[]): Thinned<readonly T[]> {
  const kept = spread(pictures.length, MAX_TRAINING).map((i) => pictures[i]);
  const said =
    kept.length < pictures.length ? `It has ${kept.length} of ${pictures.length} training pictures.` : undefined;
  return { kept, said };
}

/** Places of at most `most` of `count` things, the first and last among them, ascending. */
function spread(count: number, most: number): number[] {
  if (count <= most) return Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i * (count - 1)) / (most - 1)));
}
