import { inject } from 'inversify';
import { type Backend, BACKEND } from '../../backends/backend.js';
import { type Logger } from '../../base/logger.js';
import { resolveModel } from '../../formats/hub/hub.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { LOGGER, OPTIONS } from '../../registry/tokens.js';
import { VitFeatures } from '../../sampling/vit-features.js';
import type { HostTensor } from '../../tensor/host.js';
import { pictureFeatures } from '../observe.js';
import { METRICS, Metric, type Evidence, type Need, type OpenPictures, type Rows } from './metric.js';
import { dot, mean, meanRow, remembered, unit } from './vectors.js';

/**
 * Subject fidelity by features that were learnt without labels, and so tell two dogs apart where CLIP sees "a dog" (Ruiz et
 * al., DreamBooth, arXiv 2208.12242, section 4.2). Asked with the class prompts it is the paper's PRES, prior preservation,
 * of which less is better. Its DIV, diversity, is measured here by these features in place of LPIPS.
 */
@METRICS.register()
export class DinoScore extends Metric {
  static readonly options = {
    description:
      'DINO: mean cosine between the DINO features of each generated picture and each picture of the subject. DIV: how far pictures of one prompt are from each other, 1 - cosine.',
    type: 'object',
    additionalProperties: false,
    properties: {
      model: {
        type: 'string',
        default: 'facebook/dino-vits16',
        description: "a ViTModel or Dinov2Model in transformers' format: a folder, or an id of the hub",
      },
      others: {
        anyOf: [{ type: 'string' }, { type: 'object', component: 'DATASETS' }, { type: 'null' }],
        default: null,
        description:
          'pictures of other subjects of its kind, a folder or a dataset; then "recognised" is the share of generated pictures whose nearest picture, of theirs and the subject\'s, is one of the subject\'s',
      },
    },
  } as const satisfies OptionsSchema;
  override readonly needs: readonly Need[] = ['subject'];
  override readonly better = 'higher';
  private opened: Promise<VitFeatures> | undefined;
  private others: Rows = [];
  private readonly prompts: string[] = [];
  /** The mean over pairs is the product of the means. */
  private readonly subject = remembered((rows: Rows) => {
    const own = rows.map(unit);
    return { own, centre: meanRow(own) };
  });

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof DinoScore.options>,
    @inject(BACKEND) private readonly backend: Backend,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  override async prepare(open: OpenPictures): Promise<void> {
    const features = await this.features();
    if (this.opts.others === null) return;
    const set = await open(this.opts.others as string | object, 'DinoScore.others');
    this.others = await pictureFeatures(set, features);
  }

  /** @returns per picture the number of its prompt, and its features */
  override judge = async (pictures: readonly HostTensor[], prompts: readonly string[]): Promise<Rows> => {
    const rows = await (await this.features()).images(pictures);
    return rows.map((row, i) => Float32Array.of(this.numberOf(prompts[i]), ...row));
  };
  override judgeSubject = async (pictures: readonly HostTensor[]): Promise<Rows> =>
    (await this.features()).images(pictures);

  override scores({ judged, subject }: Evidence): Record<string, number> {
    const { own, centre } = this.subject(subject),
      others = this.unitOthers(this.others);
    const seen = judged.map((row) => unit(row.subarray(1)));
    const nearest = (row: Float64Array, among: readonly Float64Array[]): number =>
      among.reduce((most, one) => Math.max(most, dot(row, one)), -Infinity);
    const apart = distances(judged, seen);
    return {
      DINO: mean(seen.map((row) => dot(row, centre))),
      ...(others.length > 0 && {
        recognised: mean(seen.map((row) => Number(nearest(row, own) > nearest(row, others)))),
      }),
      ...(apart.length > 0 && { DIV: mean(apart) }),
    };
  }

  private readonly unitOthers = remembered((rows: Rows) => rows.map(unit));

  private numberOf(prompt: string): number {
    if (!this.prompts.includes(prompt)) this.prompts.push(prompt);
    return this.prompts.indexOf(prompt);
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

/** Of each prompt with several pictures, the mean of 1 - cosine over pairs. A picture that was drawn twice by lot is one. */
function distances(judged: Rows, seen: readonly Float64Array[]): number[] {
  const byPrompt = new Map<number, Map<Float32Array, Float64Array>>();
  judged.forEach((row, i) => {
    const group = byPrompt.get(row[0]) ?? new Map<Float32Array, Float64Array>();
    byPrompt.set(row[0], group.set(row, seen[i]));
  });
  return [...byPrompt.values()].flatMap((group) => {
    const rows = [...group.values()],
      pairs = rows.flatMap((a, i) => rows.slice(i + 1).map((b) => 1 - dot(a, b)));
    return pairs.length > 0 ? [mean(pairs)] : [];
  });
}

declare module '../../registry/kinds.js' {
  interface MetricMap {
    DinoScore: typeof DinoScore;
  }
}
