import { inject } from 'inversify';
import { METRICS, Metric, type Evidence, type Need, type Rows } from './metric.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { dot, mean, meanRow, remembered, unit } from './vectors.js';

/** Subject fidelity (Ruiz et al., DreamBooth, arXiv 2208.12242, section 4.2). */
@METRICS.register()
export class ClipImageScore extends Metric {
  static readonly options = {
    description:
      'CLIP-I: mean cosine between the CLIP features of each generated picture and each picture of the subject.',
    type: 'object',
    additionalProperties: false,
    properties: { scale: { type: 'number', exclusiveMinimum: 0, default: 1, description: 'factor of the cosine' } },
  } as const satisfies OptionsSchema;
  override readonly needs: readonly Need[] = ['generated', 'instances'];
  override readonly better = 'higher';
  /** The mean over pairs is the product of the means. */
  private readonly subject = remembered((rows: Rows) => meanRow(rows.map(unit)));

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof ClipImageScore.options>) {
    super();
  }

  override scores({ generated, instances }: Evidence): Record<string, number> {
    const subject = this.subject(instances);
    return { 'CLIP-I': this.opts.scale * mean(generated.map((row) => dot(unit(row), subject))) };
  }
}

declare module '../../registry/kinds.js' {
  interface MetricMap {
    ClipImageScore: typeof ClipImageScore;
  }
}
