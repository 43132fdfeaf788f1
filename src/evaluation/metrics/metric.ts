/** What a metric is: numbers from what was drawn, what was asked for, and what it should look like. */
import { Registry } from '../../registry/registry.js';
import type { HostTensor } from '../../tensor/host.js';
import type { PictureSet } from '../pictures.js';

/** Vectors of one length: one per picture or text. */
export type Rows = readonly Float32Array[];

/** Sees pictures and texts as vectors of one space, not normalised. `ClipFeatures` is one. */
export interface FeatureExtractor {
  /** @param pictures uint8 [H, W, 3] of any size @returns [dimension] per picture */
  images(pictures: readonly HostTensor[]): Promise<Rows>;
  /** @returns [dimension] per text */
  texts(prompts: readonly string[]): Promise<Rows>;
  readonly dimension: number;
  /** identifies the weights: values of different extractors cannot be compared */
  readonly fingerprint: string;
}

/** Opens a folder, an id of the hub or a dataset's config. */
export type OpenPictures = (source: string | object, where: string) => Promise<PictureSet>;

/** What a metric looks at. Features that no metric of the evaluation needs are not computed, and empty. */
export interface Evidence {
  /** features of the generated pictures */
  readonly generated: Rows;
  /** features of the text that each generated picture was asked with */
  readonly texts: Rows;
  /** features of pictures as they should be, in no order */
  readonly reference: Rows;
  /** features of the pictures of one subject */
  readonly instances: Rows;
  /** what `judge` said, per generated picture */
  readonly judged: Rows;
  /** what `judgeSubject` said, per picture of one subject */
  readonly subject: Rows;
}

/** Evidence that an evaluation has to collect; `reference`, and pictures for `instances` and `subject`, have to be given by its user. */
export type Need = Exclude<keyof Evidence, 'judged'>;

export abstract class Metric {
  abstract readonly needs: readonly Need[];
  abstract readonly better: 'higher' | 'lower';

  /**
   * Opens what `judge` needs, so that mistakes are found before anything is drawn.
   * @param open pictures of the metric's own, from a folder or a dataset's config; `where` names the option in errors
   */
  async prepare(_open: OpenPictures): Promise<void> {}

  /**
   * For what features do not tell: looks at generated pictures while they are in memory.
   * @param pictures uint8 [H, W, 3] @param prompts one per picture @returns one row per picture, for `evidence.judged`
   */
  judge?(pictures: readonly HostTensor[], prompts: readonly string[]): Promise<Rows>;

  /** For what features do not tell of the subject. @param pictures uint8 [H, W, 3] @returns one row per picture, for `evidence.subject` */
  judgeSubject?(pictures: readonly HostTensor[]): Promise<Rows>;

  /** Values by name, such as `{ 'CLIP-T': 0.29 }`. Evidence that it needs has at least one row. */
  abstract scores(evidence: Evidence): Readonly<Record<string, number>>;

  /** Frees what `prepare` opened. */
  async dispose(): Promise<void> {}
}

export const METRICS = new Registry<Metric>('METRICS', 'metric');
