/** Encoded pictures and texts kept in memory, and on disk when told so; ranks of one run may share what each has encoded. */
import { ByteLru } from '../base/byte-lru.js';
import type { EncodingStore } from './encoding-store.js';
import { floats, float32, type HostTensor, type Shape } from '../tensor/host.js';

/** Encoded pictures: about 2,000 of 512 px. */
export const MOMENTS_CACHE_BYTES = 256 * 2 ** 20;
/** Encoded prompts: about 1,100 of SD 1.x. */
const TEXT_CACHE_BYTES = 256 * 2 ** 20;

type Kind = 'picture' | 'text';

/** One encoding: float32 tensors under a key. */
interface Encoding {
  readonly kind: Kind;
  readonly key: string;
  readonly tensors: readonly HostTensor[];
}

/** What travels before the values. */
interface Header {
  readonly kind: Kind;
  readonly key: string;
  readonly shapes: readonly Shape[];
}

export class EncodingCache {
  private readonly kept: Readonly<Record<Kind, ByteLru<readonly HostTensor[]>>> = {
    picture: new ByteLru(MOMENTS_CACHE_BYTES),
    text: new ByteLru(TEXT_CACHE_BYTES),
  };
  private fresh: Encoding[] | undefined;
  private store: EncodingStore | undefined;

  /** From now on what is not in memory is looked for there, and what is new is written, too. */
  keepOn(store: EncodingStore): void {
    this.store = store;
  }

  async get(kind: Kind, key: string): Promise<readonly HostTensor[] | undefined> {
    const known = this.kept[kind].get(key);
    if (known || !this.store) return known;
    const stored = await this.store.read(`${kind} ${key}`);
    if (stored) this.remember({ kind, key, tensors: stored });
    return stored;
  }

  /** @param tensors float32 */
  async set(kind: Kind, key: string, tensors: readonly HostTensor[]): Promise<void> {
    this.remember({ kind, key, tensors });
    await this.store?.write(`${kind} ${key}`, tensors);
  }

  private remember(encoding: Encoding): void {
    this.keep(encoding);
    this.fresh?.push(encoding);
  }

  /** From now on new encodings are remembered for `take`. */
  share(): void {
    this.fresh ??= [];
  }

  /** What was set here since the last call, as bytes; none: nothing was. */
  take(): Uint8Array {
    const taken = this.fresh?.splice(0) ?? [];
    if (taken.length === 0) return new Uint8Array(0);
    const header = JSON.stringify(
      taken.map(({ kind, key, tensors }) => ({ kind, key, shapes: tensors.map((t) => t.shape) }) satisfies Header),
    );
    // A multiple of 4, so that the values after it can be read in place.
    const text = Buffer.from(header.padEnd(Math.ceil(Buffer.byteLength(header) / 4) * 4));
    const values = taken.flatMap(({ tensors }) => tensors.map((t) => floats(t)));
    return Buffer.concat([
      Buffer.from(Uint32Array.of(text.length).buffer),
      text,
      ...values.map((v) => Buffer.from(v.buffer, v.byteOffset, v.byteLength)),
    ]);
  }

  /** Keeps what another rank took. */
  add(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const { buffer } = bytes.slice(),
      [length] = new Uint32Array(buffer, 0, 1);
    const headers = JSON.parse(Buffer.from(buffer, 4, length).toString()) as Header[];
    let at = 4 + length;
    for (const { kind, key, shapes } of headers) {
      const tensors = shapes.map((shape) => {
        const values = new Float32Array(
          buffer,
          at,
          shape.reduce((n, d) => n * d, 1),
        ).slice();
        at += values.byteLength;
        return float32(values, shape);
      });
      this.keep({ kind, key, tensors });
    }
  }

  private keep({ kind, key, tensors }: Encoding): void {
    const bytes = tensors.reduce((sum, t) => sum + floats(t).byteLength, 0);
    this.kept[kind].set(key, tensors, bytes);
  }
}
