/** Tensors as bytes, row-major and little-endian as files and models hold them, and back. */
import { bytesPerElement, type DType, type HostTensor, type Shape, type TypedArray } from '../tensor/host.js';

/** A view: nothing is copied. */
export const bytesOf = ({ data }: HostTensor): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** @param bytes all of their buffer, which the tensor takes over */
export function fromBytes(bytes: Uint8Array, dtype: DType, shape: Shape): HostTensor {
  return { dtype, shape, data: view(bytes, dtype) };
}

/** Its buffer is of exactly its size. */
export const ownsBuffer = ({ data }: HostTensor): boolean => data.byteLength === data.buffer.byteLength;

/** A copy with a buffer of exactly its size, which another thread may be given; the caller keeps what it had. */
export const ownCopy = (tensor: HostTensor): HostTensor =>
  fromBytes(bytesOf(tensor).slice(), tensor.dtype, tensor.shape);

function view({ buffer, byteLength }: Uint8Array, dtype: DType): TypedArray {
  const length = byteLength / bytesPerElement[dtype];
  switch (dtype) {
    case 'float32':
      return new Float32Array(buffer, 0, length);
    case 'int32':
      return new Int32Array(buffer, 0, length);
    case 'int64':
      return new BigInt64Array(buffer, 0, length);
    case 'float16':
    case 'bfloat16':
      return new Uint16Array(buffer, 0, length);
    case 'uint8':
    case 'bool':
      return new Uint8Array(buffer, 0, length);
  }
}
