/** Encoded pictures and texts on disk, for later runs: a VAE takes seconds per picture of 512 px on a CPU. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { openSafetensors, writeSafetensors } from '../formats/safetensors/safetensors.js';
import { sizeOf, type HostTensor } from '../tensor/host.js';

/** What one run adds at most: about 16,000 pictures of 512 px. */
const MOST_BYTES = 2 * 2 ** 30;

export class EncodingStore {
  private left: number;

  /** @param folder of one model on one engine: what is in it is what that engine would answer, bit for bit */
  constructor(
    private readonly folder: string,
    private readonly log: Logger,
    mostBytes = MOST_BYTES,
  ) {
    this.left = mostBytes;
  }

  /** @returns undefined for what was not written, and for a file that is damaged, which is told */
  async read(key: string): Promise<readonly HostTensor[] | undefined> {
    const path = this.pathOf(key);
    if (!existsSync(path)) return undefined;
    try {
      const file = await openSafetensors(path);
      return await Promise.all([...file.entries.keys()].sort().map((name) => file.readFloat32(name)));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.log.warn(`${error.message}; encoding again what was in it`);
      return undefined;
    }
  }

  /** @param tensors float32. What cannot be written, or is beyond the limit, is told once; later runs then encode it again. */
  async write(key: string, tensors: readonly HostTensor[]): Promise<void> {
    if (this.left <= 0) return;
    this.left -= tensors.reduce((bytes, { shape }) => bytes + 4 * sizeOf(shape), 0);
    if (this.left <= 0) {
      this.log.warn(`${this.folder}: full for this run; what is encoded from now on is kept in memory alone`);
      return;
    }
    try {
      await writeSafetensors(this.pathOf(key), Object.fromEntries(tensors.map((tensor, i) => [String(i), tensor])));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.left = 0;
      this.log.warn(`${error.message} (encodings for later runs; this one goes on without keeping them)`);
    }
  }

  private pathOf(key: string): string {
    return join(this.folder, `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.safetensors`);
  }
}
