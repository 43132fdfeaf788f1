import { METRICS, Metric, type Evidence, type Need, type Rows } from './metric.js';
import type { OptionsSchema } from '../../registry/schema.js';
import { dot, mean, meanRow, remembered, unit } from './vectors.js';

/**
 * One number for a subject's training, to choose a checkpoint by. CLIP-I alone is highest where every picture is a copy of
 * the photographs, CLIP-T alone where nothing was learnt; their harmonic mean is near the lower of the two.
 */
@METRICS.register()
export class ClipBalance extends Metric {
  static readonly options = {
    description:
      'CLIP-IT: harmonic mean of CLIP-I and CLIP-T, high only where pictures show both the subject and the prompt; 0 where either is not positive.',
    type: 'object',
    additionalProperties: false,
    properties: {},
  } as const satisfies OptionsSchema;
  override readonly needs: readonly Need[] = ['generated', 'texts', 'instances'];
  override readonly better = 'higher';
  private readonly subject = remembered((rows: Rows) => meanRow(rows.map(unit)));

  override scores({ generated, texts, instances }: Evidence): Record<string, number> {
    const subject = this.subject(instances),
      pictures = generated.map(unit);
    const toSubject = mean(pictures.map((row) => dot(row, subject))),
      toText = mean(pictures.map((row, i) => dot(row, unit(texts[i]))));
    const both = Math.min(toSubject, toText) > 0 ? (2 * toSubject * toText) / (toSubject + toText) : 0;
    return { 'CLIP-IT': both };
  }
}

declare module '../../registry/kinds.js' {
  interface MetricMap {
    ClipBalance: typeof ClipBalance;
  }
}
