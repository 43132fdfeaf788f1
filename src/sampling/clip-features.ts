/** What a CLIP sees in pictures and reads in texts, as vectors of one space. */
import { createHash } from 'node:crypto';
import type { Backend, Executable } from '../backends/backend.js';
import { compileFinite } from '../backends/finite.js';
import type { Logger } from '../base/logger.js';
import { floats, float32, int32, type HostTensor } from '../tensor/host.js';
import { input, type Tensor } from '../tensor/tensor.js';
import { clipImageFeatures, clipTextFeatures, openClip, pooledRows, type ClipFolder } from '../formats/clip-folder.js';
import { preprocess } from '../formats/clip-preprocess.js';
import { Scope } from '../networks/layers/scope.js';
import { fingerprint } from '../formats/fingerprint.js';

/** Pictures or texts per run. */
const BATCH = 32;

export class ClipFeatures {
  private readonly programs = new Map<string, Promise<Executable>>();
  private readonly warned = new Set<string>();
  private readonly scope: Scope;

  private constructor(
    private readonly folder: ClipFolder,
    private readonly backend: Backend,
    private readonly log: Logger,
    /** Identifies the weights. */ readonly fingerprint: string,
  ) {
    this.scope = new Scope(folder.source);
  }

  /** @param folder in transformers' CLIPModel format @throws UserError naming the file and what is wrong with it */
  static async open(folder: string, backend: Backend, log: Logger): Promise<ClipFeatures> {
    const opened = await openClip(folder, log);
    const settings = createHash('sha256')
      .update(JSON.stringify([opened.config, opened.preprocess]))
      .digest('hex');
    return new ClipFeatures(
      opened,
      backend,
      log,
      `${await fingerprint(opened.source.weights)}-${settings.slice(0, 8)}`,
    );
  }

  /** Length of a vector. */
  get dimension(): number {
    return this.folder.config.projectionDim;
  }

  /** @param pictures uint8 [H, W, 3] of any size @returns per picture its projected features [dimension], not normalised */
  images(pictures: readonly HostTensor[]): Promise<Float32Array[]> {
    const { preprocess: settings, config } = this.folder,
      { size } = settings;
    return this.batched(
      'images',
      pictures,
      (batch) => {
        const pixels = new Float32Array(batch.length * 3 * size * size);
        batch.forEach((picture, i) =>
          preprocess(picture, settings, pixels.subarray(i * 3 * size * size, (i + 1) * 3 * size * size)),
        );
        return { pixels: float32(pixels, [batch.length, 3, size, size]) };
      },
      ({ pixels }) => clipImageFeatures(this.scope, pixels, config),
    );
  }

  /** @returns per prompt its projected features [dimension], not normalised */
  texts(prompts: readonly string[]): Promise<Float32Array[]> {
    const { config, tokenizer } = this.folder;
    return this.batched(
      'texts',
      prompts.map((prompt) => this.tokenize(prompt)),
      (batch) => ({
        ids: int32(Int32Array.from(batch.flatMap((ids) => [...ids])), [batch.length, tokenizer.maxLength]),
        rows: int32(pooledRows(batch, config.text), [batch.length]),
      }),
      ({ ids, rows }) => clipTextFeatures(this.scope, ids, rows, config),
    );
  }

  async dispose(): Promise<void> {
    for (const program of this.programs.values()) await (await program).dispose();
    this.programs.clear();
  }

  private tokenize(prompt: string): Int32Array {
    const { ids, truncated } = this.folder.tokenizer.encode(prompt);
    if (truncated && !this.warned.has(prompt)) {
      this.warned.add(prompt);
      this.log.warn(`prompt: longer than ${this.folder.tokenizer.maxLength} tokens, the end is cut off: "${prompt}"`);
    }
    return ids;
  }

  /** Runs items in batches of one size, a power of two up to `BATCH`; the last one is filled up with its last item. */
  private async batched<T>(
    name: string,
    items: readonly T[],
    feedsOf: (batch: readonly T[]) => Record<string, HostTensor>,
    build: (inputs: Record<string, Tensor>) => Tensor,
  ): Promise<Float32Array[]> {
    const size = Math.min(BATCH, 2 ** Math.ceil(Math.log2(Math.max(1, items.length)))),
      results: Float32Array[] = [];
    for (let at = 0; at < items.length; at += size) {
      const feeds = feedsOf(Array.from({ length: size }, (_, i) => items[Math.min(at + i, items.length - 1)]));
      const program = await this.program(`clip_${name}_${size}`, () =>
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

  private program(name: string, build: () => Tensor): Promise<Executable> {
    const known = this.programs.get(name) ?? compileFinite(this.backend, { name, outputs: { features: build() } });
    this.programs.set(name, known);
    return known;
  }
}
