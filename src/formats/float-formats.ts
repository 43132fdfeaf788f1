/** Element types of stored weights to float32 and back, whole tensors at a time. */
import { bfloat16sToFloats, float16sToFloats, floatToFloat16 } from '../tensor/half.js';
import type { DType, HostTensor } from '../tensor/host.js';

export type FloatType = 'float32' | 'float16' | 'bfloat16';
export const isFloat = (dtype: DType): dtype is FloatType =>
  dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16';

/** float16 and bfloat16 widened; float32 as it is. @throws TypeError for whole-number dtypes */
export function toFloat32(tensor: HostTensor): HostTensor {
  const { dtype, shape, data } = tensor;
  if (dtype === 'float32') return tensor;
  if (!isFloat(dtype)) throw new TypeError(`expected a float tensor, got ${dtype}`);
  const words = data as Uint16Array;
  return { dtype: 'float32', shape, data: dtype === 'float16' ? float16sToFloats(words) : bfloat16sToFloats(words) };
}

/** float32 rounded to nearest, ties to even. @throws TypeError for whole-number dtypes */
export function fromFloat32(tensor: HostTensor, dtype: DType): HostTensor {
  if (dtype === 'float32') return tensor;
  if (!isFloat(dtype)) throw new TypeError(`cannot store floats as ${dtype}`);
  const values = tensor.data as Float32Array,
    out = new Uint16Array(values.length);
  if (dtype === 'float16') {
    for (let i = 0; i < out.length; i++) out[i] = floatToFloat16(values[i]);
  } else {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    // Adding just under half of the dropped part rounds up when above half, or at half when the kept part is odd.
    for (let i = 0; i < out.length; i++)
      out[i] = (bits[i] & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16;
  }
  return { dtype, shape: tensor.shape, data: out };
}
