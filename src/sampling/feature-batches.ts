/** Vectors of pictures and texts, computed in batches by programs that are compiled once per size. */
import type { Backend, Executable } from '../backends/backend.js';
import { compileFinite } from '../backends/finite.js';
import { preprocess, type PicturePreprocess } from '../formats/picture-preprocess.js';
import { float32, floats, type HostTensor } from '../tensor/host.js';
import { input, type Tensor } from '../tensor/tensor.js';

/** Pictures or texts per run. */
const BATCH = 32;

export class FeatureBatches {
  private readonly programs = new Map<string, Promise<Executable>>();

  /** @param dimension length of a vector */
  constructor(
    private readonly backend: Backend,
    private readonly dimension: number,
  ) {}

  /**
   * Runs items in batches of one size, a power of two up to `BATCH`; the last one is filled up with its last item.
   * @param name of the program @param build the features [batch, dimension] of the feeds
   */
  async run<T>(
    name: string,
    items: readonly T[],
    feedsOf: (batch: readonly T[]) => Record<string, HostTensor>,
    build: (inputs: Record<string, Tensor>) => Tensor,
  ): Promise<Float32Array[]> {
    const size = Math.min(BATCH, 2 ** Math.ceil(Math.log2(Math.max(1, items.length)))),
      results: Float32Array[] = [];
    for (let at = 0; at < items.length; at += size) {
      const feeds = feedsOf(Array.from({ length: size }, (_, i) => items[Math.min(at + i, items.length - 1)]));
      const program = await this.program(`${name}_${size}`, () =>
        build(
          Object.fromEntries(Object.entries(feeds).map(([key, { shape, dtype }]) => [key, input(key, shape, dtype)])),
        ),
      );
      const values = floats((await program.run(feeds))['features']);
      for (let i = 0; i < Math.min(size, items.length - at); i++)
        results.push(values.slice(i * this.dimension, (i + 1) * this.dimension));
    }
    return results;
  }

  async dispose(): Promise<void> {
    for (const program of this.programs.values()) await (await program).dispose();
    this.programs.clear();
  }

  private program(name: string, build: () => Tensor): Promise<Executable> {
    const known = this.programs.get(name) ?? compileFinite(this.backend, { name, outputs: { features: build() } });
    this.programs.set(name, known);
    return known;
  }
}

/** @param pictures uint8 [H, W, 3] of any size @returns float32 [B, 3, size, size], as the settings say */
export function pixelsOf(pictures: readonly HostTensor[], settings: PicturePreprocess): HostTensor {
  const { size } = settings,
    area = 3 * size * size,
    pixels = new Float32Array(pictures.length * area);
  pictures.forEach((picture, i) => preprocess(picture, settings, pixels.subarray(i * area, (i + 1) * area)));
  return float32(pixels, [pictures.length, 3, size, size]);
}
