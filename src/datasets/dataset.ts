import { Registry } from '../registry/registry.js';
import type { RandomStream } from '../base/rng.js';
import type { Logger } from '../base/logger.js';
import type { Collectives } from '../collectives/collectives.js';
import type { HostTensor, Shape } from '../tensor/host.js';
import type { Image } from './image/picture-file.js';

/** One picture and its text as the model wants them. Shared with caches: read, do not write. */
export interface Captioned {
  /** float32 [3, H, W], -1 to 1 with the usual Normalize */
  readonly img: HostTensor;
  readonly text: string;
}

/** One training sample. `prior` is a class picture that the model should not forget (DreamBooth prior preservation). */
export interface Sample extends Captioned {
  readonly prior?: Captioned;
}

/** Asks the model that is about to be trained for pictures of its own. */
export interface ClassImageRequest {
  /** hub id or folder of the pipeline; undefined: the run's own model */
  readonly model: string | undefined;
  readonly prompt: string;
  /** one picture per seed */
  readonly seeds: readonly number[];
  readonly size: { readonly height: number; readonly width: number };
  readonly steps: number;
  readonly guidance: number;
  /** 0 to 1; undefined: none */
  readonly rescale?: number | undefined;
  /** scheduler class; undefined: the pipeline's own */
  readonly scheduler?: string | undefined;
  /** @param done denoising steps of all pictures */
  readonly onStep?: ((done: number) => void) | undefined;
  /** Called as each picture is done, with the seed's place in `seeds`. */
  readonly onImage: (index: number, image: Image) => Promise<void>;
}

/** With what a dataset will ask for class pictures. */
export interface ClassDrawing extends Pick<ClassImageRequest, 'model' | 'steps' | 'scheduler'> {
  /** the options that say so, below those of the dataset */
  readonly keys: { readonly scheduler: string; readonly steps: string };
}

/** What a dataset may ask of the run while it prepares. Datasets import no models. */
export interface DatasetServices {
  readonly logger: Logger;
  /** folder for files that later runs can reuse */
  readonly cacheDir: string;
  readonly seed: number;
  /** the run is asked to stop */
  readonly signal?: AbortSignal;
  /** the processes of the run, all of which prepare at the same time; absent: one */
  readonly ranks?: Collectives;
  /** at most so many pictures need to be tried in advance; all where it is absent */
  readonly checkPictures?: number;
  /** @returns the local folder of a hub dataset, downloaded if needed, or of a path */
  readonly resolveDataset: (idOrPath: string) => Promise<string>;
  readonly generateClassImages?: (request: ClassImageRequest) => Promise<void>;
  /** changes when the weights or the noise schedule that generate class images change */
  readonly modelFingerprint?: (model: string | undefined) => string;
}

/** Pictures with texts, by index. Call `prepare` (when there is one) before anything else. */
export abstract class Dataset {
  abstract readonly length: number;
  /** False promises that a picture is the same each time it comes up, so what follows from it may be cached. */
  readonly augmented: boolean = true;
  /** When it will ask for class pictures: checked before the model is read. */
  classDrawing?(): ClassDrawing | undefined;
  /** Reads or generates what is needed and finds the user's mistakes before the first iteration. */
  prepare?(services: DatasetServices): Promise<void>;
  /** [3, H, W] of the picture at an index; a dataset without it is asked for the picture. */
  shapeOf?(index: number): Promise<Shape>;
  /** @param index 0 <= index < length  @param stream the sample's own chance */
  abstract get(index: number, stream: RandomStream): Promise<Sample>;
}

export const DATASETS = new Registry<Dataset>('DATASETS', 'dataset');
