/** What EvaluationHook leaves in the work dir. */
import { readFile } from 'node:fs/promises';
import { bestOf, judged, type Rule } from '../engine/best-evaluation.js';
import type { Evaluation, Scored } from '../engine/run-state.js';
import type { Score as Measured } from '../evaluation/observe.js';
import type { RunView, Score } from './run-view.js';

/** In the work dir. */
export const EVALUATION_FILE = 'evaluation.json';

export interface RunEvaluation {
  /** what the values depend on; a resumed run with others starts over */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly before: readonly Measured[];
  /** on the way, those that compare */
  readonly during?: readonly Evaluation[];
  /** after training */
  readonly after?: readonly Scored[];
}

/** @param path of the file @returns undefined where no EvaluationHook wrote one */
export async function readEvaluation(path: string): Promise<RunEvaluation | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  return text === undefined ? undefined : (JSON.parse(text) as RunEvaluation);
}

/** In the order of training. @param lastIter 0-based, after which `after` was measured */
export function evaluationsOf(found: RunEvaluation | undefined, lastIter: number): RunView['evaluations'] {
  if (!Array.isArray(found?.before)) return []; // damaged
  const { before, during = [], after } = found,
    isNew = after !== undefined && during.at(-1)?.iter !== lastIter;
  return [
    { iter: -1, scores: before.map(plain) },
    ...during.map(({ iter, scores }) => ({ iter, scores: scores.map(plain) })),
    ...(isNew ? [{ iter: lastIter, scores: after.map(plain) }] : []),
  ];
}

/** As CheckpointHook chooses. @param metric its `save_best` @returns undefined, too, where the metric was not measured */
export function bestEvaluation(found: RunEvaluation | undefined, metric: string, rule: Rule): RunView['best'] {
  const during = found?.during ?? [],
    isThere = metric === 'auto' || during.at(-1)?.scores.some(({ name }) => name === metric);
  const best = isThere ? bestOf(judged(during, metric, rule, 'CheckpointHook.save_best')) : undefined;
  return best && { name: best.name, iter: best.iter, value: best.value };
}

const plain = ({ name, better, value, halfWidth }: Scored): Score => ({ name, better, value, halfWidth });

/** "0.612", or "0.612 ± 0.014" where an interval is known. */
export const valueText = ({ value, halfWidth }: Pick<Scored, 'value' | 'halfWidth'>): string =>
  halfWidth === undefined ? value.toFixed(3) : `${value.toFixed(3)} ± ${halfWidth.toFixed(3)}`;

/** "CLIP-I 0.473 ± 0.009, CLIP-T 0.482 ± 0.002" */
export const scoreText = (scores: readonly Scored[]): string =>
  scores.map((score) => `${score.name} ${valueText(score)}`).join(', ');
