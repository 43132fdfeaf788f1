/** Element types of stored weights to float32 and back. */
import { bfloat16ToFloat, float16ToFloat, floatToBfloat16, floatToFloat16 } from '../../tensor/half.js';
import { sizeOf, type DType, type HostTensor } from '../../tensor/host.js';

/** float16 and bfloat16 widened; float32 as it is. @throws TypeError for whole-number dtypes */
export function toFloat32(tensor: HostTensor): HostTensor {
  const { dtype, shape, data } = tensor;
  if (dtype === 'float32') return tensor;
  if (dtype !== 'float16' && dtype !== 'bfloat16') throw new TypeError(`expected a float tensor, got ${dtype}`);
  const widen = dtype === 'float16' ? float16ToFloat : bfloat16ToFloat;
  const words = data as Uint16Array, out = new Float32Array(sizeOf(shape));
  for (let i = 0; i < out.length; i++) out[i] = widen(words[i]);
  return { dtype: 'float32', shape, data: out };
}

/** float32 rounded to nearest even. */
export function fromFloat32(tensor: HostTensor, dtype: DType): HostTensor {
  if (dtype === 'float32') return tensor;
  if (dtype !== 'float16' && dtype !== 'bfloat16') throw new TypeError(`cannot store floats as ${dtype}`);
  const narrow = dtype === 'float16' ? floatToFloat16 : floatToBfloat16;
  const values = tensor.data as Float32Array, out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = narrow(values[i]);
  return { dtype, shape: tensor.shape, data: out };
}
