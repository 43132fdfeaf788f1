/** What EvaluationHook measured, as HTML. */
import { valueText, type RunEvaluation } from '../../runs/evaluation-file.js';
import { escapeHtml } from './line-chart.js';

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
