/** Whether generated pictures show what their prompts ask for, by a classifier that no generator had a part in. */
import { inject } from 'inversify';
import { type Backend, BACKEND } from '../../backends/backend.js';
import { UserError } from '../../base/errors.js';
import { mostProbable, openClassifier, type PictureClassifier } from '../../sampling/picture-classifier.js';
import { PhraseFinder } from '../../networks/classifier-labels.js';
import { METRICS, Metric, type Evidence, type Rows } from './metric.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { LOGGER, OPTIONS } from '../../registry/tokens.js';
import { type Logger } from '../../base/logger.js';
import type { HostTensor } from '../../tensor/host.js';

/** What `judge` writes for an attribute of a picture. */
const RIGHT = 1,
  WRONG = 0,
  NOT_ASKED = -1;

interface Opened {
  readonly classifier: PictureClassifier;
  readonly finders: ReadonlyMap<string, PhraseFinder>;
}

@METRICS.register()
export class AttributeAccuracy extends Metric {
  static readonly options = {
    description:
      'Share of pictures whose most probable phrase is the one in the prompt, per attribute of an ImageClassifier, with the 95 % interval of Wilson.',
    type: 'object',
    additionalProperties: false,
    required: ['classifier'],
    properties: {
      classifier: {
        type: 'string',
        description:
          'what training of an ImageClassifier saved: a folder with config.json and model.safetensors, or the one around it',
      },
      attributes: {
        type: ['array', 'null'],
        items: { type: 'string' },
        default: null,
        description: 'those to report; null: all that the classifier knows',
      },
    },
  } as const satisfies OptionsSchema;

  override readonly needs = [];
  override readonly better = 'higher';
  private opened: Promise<Opened> | undefined;
  private names: readonly string[] = [];
  private warned = false;

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof AttributeAccuracy.options>,
    @inject(BACKEND) private readonly backend: Backend,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  override async prepare(): Promise<void> {
    await (this.opened ??= this.open());
  }

  /** @returns per picture a number for each attribute: 1 right, 0 wrong, -1 when its prompt has none or several of the phrases */
  override async judge(pictures: readonly HostTensor[], prompts: readonly string[]): Promise<Rows> {
    const { classifier, finders } = await (this.opened ??= this.open());
    const probabilities = await classifier.classify(pictures);
    const judged = probabilities.map((seen, i) =>
      Float32Array.from([...finders], ([name, finder]) => {
        const asked = finder.find(prompts[i]);
        if (asked === undefined) return NOT_ASKED;
        return mostProbable(finder.phrases, seen[name]) === finder.phrases[asked] ? RIGHT : WRONG;
      }),
    );
    if (judged.every((row) => row.every((v) => v === NOT_ASKED)))
      this.warnOnce(
        `no prompt, such as "${prompts[0]}", has exactly one phrase of ${[...finders.keys()].join(' or ')}; ask for what the classifier knows`,
      );
    return judged;
  }

  /** Of each attribute that a prompt asks for: `subject accuracy`, and its interval as `subject accuracy low` and `... high`. */
  override scores({ judged }: Evidence): Readonly<Record<string, number>> {
    return Object.assign(
      {},
      ...this.names.map((name, k) => {
        const answers = judged.map((row) => row[k]).filter((v) => v !== NOT_ASKED),
          right = answers.filter((v) => v === RIGHT).length;
        if (answers.length === 0) return {};
        const [low, high] = wilson(right, answers.length);
        return {
          [`${name} accuracy`]: right / answers.length,
          [`${name} accuracy low`]: low,
          [`${name} accuracy high`]: high,
        };
      }),
    ) as Record<string, number>;
  }

  override async dispose(): Promise<void> {
    await this.opened?.then(
      ({ classifier }) => classifier.dispose(),
      () => undefined,
    ); // what failed to open was told by `judge`
    this.opened = undefined;
  }

  private warnOnce(message: string): void {
    if (!this.warned) this.log.warn(`AttributeAccuracy: ${message}`);
    this.warned = true;
  }

  private async open(): Promise<Opened> {
    const classifier = await openClassifier(this.opts.classifier, this.backend, this.log),
      known = Object.keys(classifier.attributes);
    this.names = this.opts.attributes ?? known;
    const strange = this.names.find((name) => !known.includes(name));
    if (strange !== undefined)
      throw new UserError(
        `AttributeAccuracy.attributes: the classifier ${this.opts.classifier} knows no "${strange}"; it knows ${known.join(', ')}`,
      );
    return {
      classifier,
      finders: new Map(this.names.map((name) => [name, new PhraseFinder(classifier.attributes[name])])),
    };
  }
}

/** Normal quantile of 0.975. */
const Z = 1.959963984540054;

/**
 * The 95 % score interval of a share, which holds for small numbers and near 0 and 1, too: Wilson, Journal of the American
 * Statistical Association 22 (1927); Brown, Cai and DasGupta, Statistical Science 16 (2001).
 * @param right 0 to `asked` @param asked from 1
 */
export function wilson(right: number, asked: number): readonly [low: number, high: number] {
  const centre = right + (Z * Z) / 2,
    half = Z * Math.sqrt((right * (asked - right)) / asked + (Z * Z) / 4);
  // rounding must not leave [0, 1]
  return [Math.max(0, (centre - half) / (asked + Z * Z)), Math.min(1, (centre + half) / (asked + Z * Z))];
}

declare module '../../registry/kinds.js' {
  interface MetricMap {
    AttributeAccuracy: typeof AttributeAccuracy;
  }
}
