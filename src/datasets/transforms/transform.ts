import { Registry } from '../../registry/registry.js';
import { UserError } from '../../base/errors.js';
import type { RandomStream } from '../../base/rng.js';
import type { HostTensor } from '../../tensor/host.js';
import { asImage, type Image } from '../image/picture-file.js';

/** What travels through a pipeline. Starts as uint8 [H, W, 3]; has to end as float32 [3, H, W]. */
export interface TransformSample {
  readonly img: HostTensor;
  readonly text: string;
  readonly [key: string]: unknown;
}

/**
 * One step of a `pipeline`. Pure: returns a new sample and leaves its argument alone, so that results can be cached.
 * All chance comes from `stream`, which is the sample's own: the same (seed, iteration, sample) gives the same picture.
 */
export abstract class Transform {
  /** False promises that `stream` is never read. Results up to the first random step are cached. */
  readonly random: boolean = false;
  abstract apply(sample: TransformSample, stream: RandomStream): TransformSample;

  /** The sample's picture while it is one still. @throws UserError after ToTensor */
  protected picture({ img }: TransformSample): Image {
    if (img.dtype !== 'uint8') {
      throw new UserError(
        `${this.constructor.name}: the picture is ${img.dtype} [${img.shape}] already; put ToTensor after it`,
      );
    }
    return asImage(img);
  }
}

export const TRANSFORMS = new Registry<Transform>('TRANSFORMS', 'transform');
