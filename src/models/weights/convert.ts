/** Element types of stored weights to float32 and back, whole tensors at a time. */
import { float16ToFloat, floatToFloat16 } from '../../tensor/half.js';
import type { DType, HostTensor } from '../../tensor/host.js';

export type FloatType = 'float32' | 'float16' | 'bfloat16';
export const isFloat = (dtype: DType): dtype is FloatType => dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16';

/** All float16 values, by word: a look-up is several times faster than taking a word apart. Made on first use, 256 kB. */
let halves: Float32Array | undefined;
const halfTable = (): Float32Array => (halves ??= Float32Array.from({ length: 65536 }, (_, word) => float16ToFloat(word)));

/** float16 and bfloat16 widened; float32 as it is. @throws TypeError for whole-number dtypes */
export function toFloat32(tensor: HostTensor): HostTensor {
  const { dtype, shape, data } = tensor;
  if (dtype === 'float32') return tensor;
  if (!isFloat(dtype)) throw new TypeError(`expected a float tensor, got ${dtype}`);
  const words = data as Uint16Array, out = new Float32Array(words.length);
  if (dtype === 'float16') {
    const table = halfTable();
    for (let i = 0; i < out.length; i++) out[i] = table[words[i]];
  } else {
    // A bfloat16 is the upper half of a float32.
    const bits = new Uint32Array(out.buffer);
    for (let i = 0; i < out.length; i++) bits[i] = words[i] << 16;
  }
  return { dtype: 'float32', shape, data: out };
}

/** float32 rounded to nearest, ties to even. @throws TypeError for whole-number dtypes */
export function fromFloat32(tensor: HostTensor, dtype: DType): HostTensor {
  if (dtype === 'float32') return tensor;
  if (!isFloat(dtype)) throw new TypeError(`cannot store floats as ${dtype}`);
  const values = tensor.data as Float32Array, out = new Uint16Array(values.length);
  if (dtype === 'float16') {
    for (let i = 0; i < out.length; i++) out[i] = floatToFloat16(values[i]);
  } else {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    // Adding just under half of the dropped part rounds up when above half, or at half when the kept part is odd.
    for (let i = 0; i < out.length; i++) out[i] = (bits[i] & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16;
  }
  return { dtype, shape: tensor.shape, data: out };
}
