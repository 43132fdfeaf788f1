import { inject } from 'inversify';
import { type Backend, BACKEND } from '../../backends/backend.js';
import { type Logger } from '../../base/logger.js';
import { resolveModel } from '../../formats/hub/hub.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { LOGGER, OPTIONS } from '../../registry/tokens.js';
import { VitFeatures } from '../../sampling/vit-features.js';
import type { HostTensor } from '../../tensor/host.js';
import { METRICS, Metric, type Evidence, type Need, type Rows } from './metric.js';
import { dot, mean, meanRow, remembered, unit } from './vectors.js';

/**
 * Subject fidelity by features that were learnt without labels, and so tell two dogs apart where CLIP sees "a dog" (Ruiz et
 * al., DreamBooth, arXiv 2208.12242, section 4.2).
 */
@METRICS.register()
export class DinoScore extends Metric {
  static readonly options = {
    description:
      'DINO: mean cosine between the DINO features of each generated picture and each picture of the subject.',
    type: 'object',
    additionalProperties: false,
    properties: {
      model: {
        type: 'string',
        default: 'facebook/dino-vits16',
        description: "a ViTModel or Dinov2Model in transformers' format: a folder, or an id of the hub",
      },
    },
  } as const satisfies OptionsSchema;
  override readonly needs: readonly Need[] = ['subject'];
  override readonly better = 'higher';
  private opened: Promise<VitFeatures> | undefined;
  /** The mean over pairs is the product of the means. */
  private readonly subject = remembered((rows: Rows) => meanRow(rows.map(unit)));

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof DinoScore.options>,
    @inject(BACKEND) private readonly backend: Backend,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  override async prepare(): Promise<void> {
    await this.features();
  }

  override judge = async (pictures: readonly HostTensor[]): Promise<Rows> => (await this.features()).images(pictures);
  override judgeSubject = async (pictures: readonly HostTensor[]): Promise<Rows> =>
    (await this.features()).images(pictures);

  override scores({ judged, subject }: Evidence): Record<string, number> {
    const centre = this.subject(subject);
    return { DINO: mean(judged.map((row) => dot(unit(row), centre))) };
  }

  override async dispose(): Promise<void> {
    await this.opened?.then(
      (features) => features.dispose(),
      () => undefined, // what failed to open was told by `prepare`
    );
    this.opened = undefined;
  }

  private features(): Promise<VitFeatures> {
    return (this.opened ??= resolveModel(this.opts.model, { log: this.log }).then((folder) =>
      VitFeatures.open(folder, this.backend, this.log),
    ));
  }
}

declare module '../../registry/kinds.js' {
  interface MetricMap {
    DinoScore: typeof DinoScore;
  }
}
