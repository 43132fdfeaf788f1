/** Which evaluation of a run was best. */
import { UserError } from '../base/errors.js';
import type { Evaluation, Scored } from './run-state.js';

/** `greater` and `less` as mmengine has them; undefined: what the metric itself says */
export type Rule = 'greater' | 'less' | undefined;

export interface Judged {
  readonly iter: number;
  readonly name: string;
  readonly value: number;
}

/**
 * The values of one metric in all evaluations that compare with the latest, in order, so that greater is better.
 * @param metric its name, or `auto`: the first @param where the option, for errors
 * @throws UserError naming the metrics there are
 */
export function judged(
  evaluations: readonly Evaluation[],
  metric: string,
  rule: Rule,
  where: string,
): (Judged & { readonly worth: number })[] {
  const latest = evaluations.at(-1);
  if (!latest) return [];
  const own = find(latest, metric);
  if (!own)
    throw new UserError(
      `${where}: "${metric}": the evaluation has no metric of that name; it has ${latest.scores.map(({ name }) => name).join(', ')}`,
      { code: 'CONFIG_INVALID' },
    );
  const sign = (rule ?? (own.better === 'higher' ? 'greater' : 'less')) === 'greater' ? 1 : -1;
  return evaluations
    .filter(({ key }) => key === latest.key)
    .flatMap((evaluation) => {
      const score = find(evaluation, metric);
      return score ? [{ iter: evaluation.iter, name: score.name, value: score.value, worth: sign * score.value }] : [];
    });
}

/** The first of equals: it took least training. A value that is no number is never the best. */
export const bestOf = (all: ReturnType<typeof judged>): Judged | undefined =>
  all
    .filter(({ worth }) => !Number.isNaN(worth))
    .reduce<ReturnType<typeof judged>[number] | undefined>(
      (best, one) => (best && best.worth >= one.worth ? best : one),
      undefined,
    );

const find = ({ scores }: Evaluation, metric: string): Scored | undefined =>
  metric === 'auto' ? scores[0] : scores.find(({ name }) => name === metric);

/** Whether a hook of this config measures on the way: without, there is nothing to choose by. */
export function measures(config: Readonly<Record<string, unknown>>): boolean {
  const hooks = ['default_hooks', 'custom_hooks'].flatMap((group) => Object.values((config[group] ?? {}) as object));
  return (hooks as ({ type?: unknown } | null)[]).some((hook) => hook?.type === 'EvaluationHook');
}
