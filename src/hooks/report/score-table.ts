/** What EvaluationHook writes and the report shows. */
import { readFile } from 'node:fs/promises';
import type { Evaluation, Scored } from '../../engine/run-state.js';
import type { Score } from '../../evaluation/observe.js';
import { escapeHtml } from './line-chart.js';

/** In the work dir. */
export const EVALUATION_FILE = 'evaluation.json';

export interface RunEvaluation {
  /** what the values depend on; a resumed run with others starts over */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly before: readonly Score[];
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

/** A row per score. */
export function scoreTable({ settings, before, after }: RunEvaluation): string {
  const rows = before.map((score) => {
    const later = after?.find(({ name }) => name === score.name);
    return `<tr><td>${escapeHtml(score.name)} ${score.better === 'higher' ? '↑' : '↓'}</td><td>${valueText(score)}</td><td>${later ? valueText(later) : 'not yet'}</td></tr>`;
  });
  const drawn = [settings['prompts'] ?? []].flat().length,
    seeds = [settings['seeds'] ?? []].flat().length;
  return `<table>
<tr><th></th><th>before training</th><th>after training</th></tr>
${rows.join('\n')}
</table>
<p>${drawn} pictures${seeds > 1 ? ` with each of ${seeds} seeds; ± half of the 95 % interval over seeds` : ''}. CLIP-T: cosine of picture and prompt; CLIP-I: of generated and training pictures.</p>`;
}

/** "0.612", or "0.612 ± 0.014" where an interval is known. */
export const valueText = ({ value, halfWidth }: Pick<Scored, 'value' | 'halfWidth'>): string =>
  halfWidth === undefined ? value.toFixed(3) : `${value.toFixed(3)} ± ${halfWidth.toFixed(3)}`;

/** "CLIP-I 0.473 ± 0.009, CLIP-T 0.482 ± 0.002" */
export const scoreText = (scores: readonly Scored[]): string =>
  scores.map((score) => `${score.name} ${valueText(score)}`).join(', ');
