import { inject } from 'inversify';
import { METRICS, Metric, type Evidence, type Need, type Rows } from './metric.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { dot, remembered, unit } from './vectors.js';

/** CMMD (Jayasumana et al., arXiv 2401.09603): no assumption of Gaussians, and few pictures are enough. */
@METRICS.register()
export class ClipMMD extends Metric {
  static readonly options = {
    description: 'CMMD: maximum mean discrepancy between the CLIP features of generated and of reference pictures.',
    type: 'object',
    additionalProperties: false,
    properties: {
      sigma: {
        type: 'number',
        exclusiveMinimum: 0,
        default: 10,
        description: "width of the Gaussian kernel; 10 is the paper's",
      },
      scale: {
        type: 'number',
        exclusiveMinimum: 0,
        default: 1000,
        description: "factor of the result; 1000 is the paper's",
      },
    },
  } as const satisfies OptionsSchema;
  override readonly needs: readonly Need[] = ['generated', 'reference'];
  override readonly better = 'lower';
  private readonly units = remembered((rows: Rows) => rows.map(unit));
  /** The reference's own part of the sum. */
  private readonly within = remembered((rows: Rows) => this.kernel(this.units(rows), this.units(rows)));

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof ClipMMD.options>) {
    super();
  }

  /** The squared discrepancy by its V-statistic, as the authors' code: pairs of a picture with itself count. */
  override scores({ generated, reference }: Evidence): Record<string, number> {
    const own = generated.map(unit),
      other = this.units(reference);
    return { CMMD: this.opts.scale * (this.kernel(own, own) + this.within(reference) - 2 * this.kernel(own, other)) };
  }

  /** Mean over all pairs. @param a vectors of length 1 */
  private kernel(a: readonly Float64Array[], b: readonly Float64Array[]): number {
    const gamma = 1 / (2 * this.opts.sigma ** 2);
    let sum = 0;
    for (const x of a) for (const y of b) sum += Math.exp(-gamma * (2 - 2 * dot(x, y)));
    return sum / (a.length * b.length);
  }
}

declare module '../../registry/kinds.js' {
  interface MetricMap {
    ClipMMD: typeof ClipMMD;
  }
}
