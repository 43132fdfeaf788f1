/** What a CLIP sees in pictures and reads in texts, as vectors of one space. */
import { createHash } from 'node:crypto';
import type { Backend } from '../backends/backend.js';
import type { Logger } from '../base/logger.js';
import { int32, type HostTensor } from '../tensor/host.js';
import { clipImageFeatures, clipTextFeatures, openClip, pooledRows, type ClipFolder } from '../formats/clip-folder.js';
import { Scope } from '../networks/layers/scope.js';
import { fingerprint } from '../formats/fingerprint.js';
import { FeatureBatches, pixelsOf } from './feature-batches.js';

export class ClipFeatures {
  private readonly warned = new Set<string>();
  private readonly scope: Scope;
  private readonly batches: FeatureBatches;

  private constructor(
    private readonly folder: ClipFolder,
    backend: Backend,
    private readonly log: Logger,
    /** Identifies the weights. */ readonly fingerprint: string,
  ) {
    this.scope = new Scope(folder.source);
    this.batches = new FeatureBatches(backend, this.dimension);
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
    const { preprocess, config } = this.folder;
    return this.batches.run(
      'clip_images',
      pictures,
      (batch) => ({ pixels: pixelsOf(batch, preprocess) }),
      ({ pixels }) => clipImageFeatures(this.scope, pixels, config),
    );
  }

  /** @returns per prompt its projected features [dimension], not normalised */
  texts(prompts: readonly string[]): Promise<Float32Array[]> {
    const { config, tokenizer } = this.folder;
    return this.batches.run(
      'clip_texts',
      prompts.map((prompt) => this.tokenize(prompt)),
      (batch) => ({
        ids: int32(Int32Array.from(batch.flatMap((ids) => [...ids])), [batch.length, tokenizer.maxLength]),
        rows: int32(pooledRows(batch, config.text), [batch.length]),
      }),
      ({ ids, rows }) => clipTextFeatures(this.scope, ids, rows, config),
    );
  }

  dispose = (): Promise<void> => this.batches.dispose();

  private tokenize(prompt: string): Int32Array {
    const { ids, truncated } = this.folder.tokenizer.encode(prompt);
    if (truncated && !this.warned.has(prompt)) {
      this.warned.add(prompt);
      this.log.warn(`prompt: longer than ${this.folder.tokenizer.maxLength} tokens, the end is cut off: "${prompt}"`);
    }
    return ids;
  }
}
