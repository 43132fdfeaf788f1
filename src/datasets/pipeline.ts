/** A dataset's `pipeline`: the transforms in order, with what chance cannot change computed once per picture. */
import { UserError } from '../base/errors.js';
import { Rng, type RandomStream } from '../base/rng.js';
import { ByteLru } from '../base/byte-lru.js';
import type { Shape } from '../tensor/host.js';
import type { Captioned } from './dataset.js';
import type { Image } from './image/picture-file.js';
import type { Transform, TransformSample } from './transforms/transform.js';

/** Decoded pictures kept in memory: 680 of 512x512. */
export const PICTURE_CACHE_BYTES = 512 * 2 ** 20;

/** A picture that can be loaded again. */
export interface Source {
  /** tells pictures apart, and names one in errors: a path, or a file and row */
  readonly name: string;
  readonly load: () => Promise<Image>;
}

/** A sample that `done` leading steps have been applied to. */
interface Started {
  readonly sample: TransformSample;
  readonly done: number;
}

export class Pipeline {
  /** True when some step draws from the stream. */
  readonly random: boolean;
  private readonly fixedSteps: number;
  private readonly cache = new ByteLru<Started>(PICTURE_CACHE_BYTES);
  /** by name of the source */
  private readonly shapes = new Map<string, Shape>();

  constructor(private readonly transforms: readonly Transform[]) {
    const firstRandom = transforms.findIndex((transform) => transform.random);
    this.random = firstRandom >= 0;
    this.fixedSteps = this.random ? firstRandom : transforms.length;
  }

  /** @throws UserError when the picture cannot be loaded or the steps do not lead to float32 [3, H, W] */
  async run(source: Source, text: string, stream: RandomStream): Promise<Captioned> {
    const key = `${source.name}\n${text}`;
    const start: Started = this.cache.get(key) ?? { sample: { img: await source.load(), text }, done: 0 };
    try {
      const { sample: fixed, done } = this.applyFixed(start, stream);
      this.cache.set(key, { sample: fixed, done }, fixed.img.data.byteLength);
      let sample = fixed;
      for (const transform of this.transforms.slice(done)) sample = transform.apply(sample, stream);
      const result = packed(sample);
      this.shapes.set(source.name, result.img.shape);
      return result;
    } catch (error) {
      if (error instanceof UserError) throw new UserError(`${source.name}: ${error.message}`, { cause: error });
      throw error;
    }
  }

  /** [3, H, W] of what `run` gives; pictures that were checked before training are known. */
  async shapeOf(source: Source, text: string): Promise<Shape> {
    return this.shapes.get(source.name) ?? (await this.run(source, text, new Rng(0).stream('shape'))).img.shape;
  }

  /**
   * Applies the leading steps that chance cannot change. Stops before the picture becomes float32: that is quick to do
   * again, and four times as large in memory.
   */
  private applyFixed(start: Started, stream: RandomStream): Started {
    let { sample, done } = start;
    while (done < this.fixedSteps) {
      const next = this.transforms[done].apply(sample, stream);
      if (next.img.dtype !== 'uint8') break;
      sample = next;
      done++;
    }
    return { sample, done };
  }
}

function packed({ img, text }: TransformSample): Captioned {
  if (img.dtype !== 'float32' || img.shape.length !== 3 || img.shape[0] !== 3) {
    throw new UserError(
      `pipeline: ends with ${img.dtype} [${img.shape}] instead of float32 [3, H, W]; end it with ToTensor, Normalize, PackInputs`,
    );
  }
  return { img, text };
}
