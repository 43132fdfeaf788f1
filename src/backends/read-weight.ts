/** The values of a frozen weight, for backends that do not map the file. */
import { open } from 'node:fs/promises';
import { bytesPerElement, type DType, type HostTensor, type TypedArray } from '../tensor/host.js';
import type { TensorType, WeightSource } from '../tensor/tensor.js';

/** One read takes at most this much: Linux ends a read at 2 GB. */
const CHUNK_BYTES = 2 ** 30;

/** @throws Error when the file ends before the weight does */
export async function readWeight(source: WeightSource, { dtype, shape }: TensorType): Promise<HostTensor> {
  if ('value' in source) return { ...source.value, shape };
  const file = await open(source.file);
  try {
    const bytes = new Uint8Array(source.bytes);
    for (let at = 0; at < bytes.byteLength; ) {
      const { bytesRead } = await file.read(bytes, at, Math.min(CHUNK_BYTES, bytes.byteLength - at), source.offset + at);
      if (bytesRead === 0) throw new Error(`${source.file}: ends at byte ${source.offset + at}, inside "${source.key}"; is the download complete?`);
      at += bytesRead;
    }
    return { dtype, shape, data: view(bytes, dtype) };
  } finally {
    await file.close();
  }
}

/** The bytes of a tensor as numbers of its dtype. */
function view(bytes: Uint8Array, dtype: DType): TypedArray {
  const length = bytes.byteLength / bytesPerElement[dtype];
  if (dtype === 'float32') return new Float32Array(bytes.buffer, 0, length);
  if (dtype === 'int32') return new Int32Array(bytes.buffer, 0, length);
  if (dtype === 'int64') return new BigInt64Array(bytes.buffer, 0, length);
  return dtype === 'float16' || dtype === 'bfloat16' ? new Uint16Array(bytes.buffer, 0, length) : bytes;
}
