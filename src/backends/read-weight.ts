/** The values of a frozen weight, for backends that do not map the file. */
import { open } from 'node:fs/promises';
import type { HostTensor } from '../tensor/host.js';
import type { TensorType, WeightSource } from '../tensor/tensor.js';
import { fromBytes } from './bytes.js';

/** One read takes at most this much: Linux ends a read at 2 GB. */
const CHUNK_BYTES = 2 ** 30;

/** @throws Error when the file ends before the weight does */
export async function readWeight(source: WeightSource, { dtype, shape }: TensorType): Promise<HostTensor> {
  if ('value' in source) return { ...source.value, shape };
  const file = await open(source.file);
  try {
    const bytes = new Uint8Array(source.bytes);
    for (let at = 0; at < bytes.byteLength;) {
      const { bytesRead } = await file.read(
        bytes,
        at,
        Math.min(CHUNK_BYTES, bytes.byteLength - at),
        source.offset + at,
      );
      if (bytesRead === 0)
        throw new Error(
          `${source.file}: ends at byte ${source.offset + at}, inside "${source.key}"; is the download complete?`,
        );
      at += bytesRead;
    }
    return fromBytes(bytes, dtype, shape);
  } finally {
    await file.close();
  }
}
