/** Which weights these are. */
import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import type { TensorEntry, WeightFile } from './weight-file.js';

/** Bytes hashed at the start and at the end of each tensor: the 686 tensors of SD 1.5's U-Net cost some 40 ms, whatever their size. */
const PROBE_BYTES = 4096;

/**
 * Identifies the weights of a component: sha256 over every tensor's name, dtype, shape, first and last 4 kB. Training,
 * merging an adapter and converting change whole tensors, so they change it; how tensors are spread over files, and
 * the files' metadata, do not. Single values changed in the middle of a tensor can escape.
 */
export async function fingerprint({ entries }: WeightFile): Promise<string> {
  const hash = createHash('sha256'),
    handles = new Map<string, FileHandle>(),
    buffer = Buffer.alloc(PROBE_BYTES);
  try {
    for (const name of [...entries.keys()].sort()) {
      const { dtype, shape, file, offset, bytes } = entries.get(name) as TensorEntry;
      hash.update(`${name}:${dtype}[${shape}]\n`);
      const handle = handles.get(file) ?? (await open(file));
      handles.set(file, handle);
      const length = Math.min(PROBE_BYTES, bytes);
      for (const at of bytes > length ? [0, bytes - length] : [0]) {
        const { bytesRead } = await handle.read(buffer, 0, length, offset + at);
        hash.update(buffer.subarray(0, bytesRead));
      }
    }
  } finally {
    for (const handle of handles.values()) await handle.close();
  }
  return hash.digest('hex');
}
