/** Host tensors to TensorFlow.js and back, in the types it has (TFJS_TYPE). */
import { bfloat16sToFloats, float16sToFloats, floatToBfloat16, floatToFloat16 } from '../../tensor/half.js';
import type { DType, HostTensor, Shape, TypedArray } from '../../tensor/host.js';
import type { Tfjs, TfjsTensor } from '../../tensor/primitive.js';

/** The tensor may go on using `data`. @throws RangeError for an int64 beyond 32 bits */
export function toTfjs(tf: Tfjs, { dtype, shape, data }: HostTensor): TfjsTensor {
  const dims = [...shape];
  switch (dtype) {
    case 'float32':
      return tf.tensor(data as Float32Array, dims, 'float32');
    case 'float16':
      return tf.tensor(float16sToFloats(data as Uint16Array), dims, 'float32');
    case 'bfloat16':
      return tf.tensor(bfloat16sToFloats(data as Uint16Array), dims, 'float32');
    case 'int32':
      return tf.tensor(data as Int32Array, dims, 'int32');
    case 'uint8':
      return tf.tensor(Int32Array.from(data as Uint8Array), dims, 'int32');
    case 'bool':
      return tf.tensor(data as Uint8Array, dims, 'bool');
    case 'int64':
      return tf.tensor(Int32Array.from(data as BigInt64Array, narrow), dims, 'int32');
  }
}

function narrow(value: bigint): number {
  if (BigInt.asIntN(32, value) !== value)
    throw new RangeError(`tfjs: ${value} does not fit in 32 bits; TensorFlow.js has no int64`);
  return Number(value);
}

/** A copy on the host. */
export async function fromTfjs(tensor: TfjsTensor, dtype: DType, shape: Shape): Promise<HostTensor> {
  return { dtype, shape, data: convert(await tensor.data(), dtype) };
}

function convert(values: Float32Array | Int32Array | Uint8Array, dtype: DType): TypedArray {
  switch (dtype) {
    case 'float32':
      return Float32Array.from(values);
    case 'float16':
      return Uint16Array.from(values, floatToFloat16);
    case 'bfloat16':
      return Uint16Array.from(values, floatToBfloat16);
    case 'int32':
      return Int32Array.from(values);
    case 'uint8':
    case 'bool':
      return Uint8Array.from(values);
    case 'int64':
      return BigInt64Array.from(values as Int32Array, BigInt);
  }
}
