/** How each metric went during training. */
import { bestOf, judged } from '../../engine/best-evaluation.js';
import { escapeHtml, lineChart } from './line-chart.js';
import type { RunEvaluation } from '../../runs/evaluation-file.js';

/** A chart per metric, from before training on, its best evaluation marked; nothing where none was made on the way. */
export function scoreCurves({ before, during = [] }: RunEvaluation): string {
  if (during.length < 2) return '';
  return before
    .map(({ name, value }) => {
      const values = judged(during, name, undefined, name),
        best = bestOf(values);
      const points = [{ x: -1, y: value }, ...values.map(({ iter, value: y }) => ({ x: iter, y }))];
      const title = `${name}${best ? `, best ${best.value.toFixed(3)} after iteration ${best.iter}` : ''}`;
      return `<h3>${escapeHtml(title)}</h3>\n${lineChart(points, `${name} over iterations`, best?.iter)}`;
    })
    .join('\n');
}
