import { inject } from 'inversify';
import { METRICS, Metric, type Evidence, type Need } from './metric.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { dot, mean, unit } from './vectors.js';

/** Prompt fidelity (Hessel et al., arXiv 2104.08718, without its factor and clamp), as BK-SDM and DreamBooth report it. */
@METRICS.register()
export class ClipScore extends Metric {
  static readonly options = {
    description: 'CLIP-T: mean cosine between the CLIP features of a picture and of its prompt.',
    type: 'object',
    additionalProperties: false,
    properties: {
      scale: {
        type: 'number',
        exclusiveMinimum: 0,
        default: 1,
        description: 'factor of the cosine; torchmetrics has 100',
      },
    },
  } as const satisfies OptionsSchema;
  override readonly needs: readonly Need[] = ['generated', 'texts'];
  override readonly better = 'higher';

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof ClipScore.options>) {
    super();
  }

  override scores({ generated, texts }: Evidence): Record<string, number> {
    return { 'CLIP-T': this.opts.scale * mean(generated.map((row, i) => dot(unit(row), unit(texts[i])))) };
  }
}

declare module '../../registry/kinds.js' {
  interface MetricMap {
    ClipScore: typeof ClipScore;
  }
}
