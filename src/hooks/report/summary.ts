/** What mail programs and browsers without scripts show of a report: the outcome in a few lines. */
import { scoreText } from '../../runs/evaluation-file.js';
import type { ReportData } from '../../runs/report-data.js';

/** As many of the newest pictures. */
const MAX_PICTURES = 4;

/** @returns HTML */
export function summaryOf({ view }: ReportData): string {
  const { name, iterations, maxIters, loss, evaluations, previews, environment } = view,
    first = evaluations[0],
    last = evaluations.at(-1);
  const pictures = previews.at(-1)?.pictures.slice(0, MAX_PICTURES) ?? [];
  return [
    `<h1>${escapeHtml(name)}</h1>`,
    `<p>${iterations} of ${maxIters ?? iterations} iterations${loss === undefined ? '' : `, loss ${loss.toPrecision(4)}`}</p>`,
    first && `<p>Before training: ${escapeHtml(scoreText(first.scores))}</p>`,
    last && last !== first && `<p>After iteration ${last.iter}: ${escapeHtml(scoreText(last.scores))}</p>`,
    ...pictures.map(
      ({ src, caption }) =>
        `<img src="${src}" alt="${escapeHtml(caption)}" title="${escapeHtml(caption)}" width="192" style="image-rendering: pixelated" />`,
    ),
    environment && `<p>Made by</p>\n<pre>${escapeHtml(environment.command)}</pre>`,
    '<p>In a browser with scripts, this file shows curves, all pictures and the config.</p>',
  ]
    .filter((line) => typeof line === 'string')
    .join('\n');
}

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);
