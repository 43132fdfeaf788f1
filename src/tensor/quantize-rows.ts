/** Floats to 8 bits, as `dequantize` reads them. */
import { floats, sizeOf, type HostTensor } from './host.js';
import { ZERO_POINT } from './ops.js';

/** Largest distance from the zero point that both signs have. */
const MAX = 127;

/** By rows of the first axis: the value furthest from 0 becomes 127 steps. */
export function quantizeRows(tensor: HostTensor): { q: HostTensor; scales: HostTensor } {
  const { shape } = tensor,
    values = floats(tensor),
    width = sizeOf(shape) / shape[0];
  const data = new Uint8Array(values.length),
    scales = new Float32Array(shape[0]);
  for (let row = 0; row < shape[0]; row++) {
    let top = 0;
    for (let i = row * width; i < (row + 1) * width; i++) top = Math.max(top, Math.abs(values[i]));
    scales[row] = top / MAX;
    for (let i = row * width; i < (row + 1) * width; i++)
      data[i] = ZERO_POINT + (top === 0 ? 0 : Math.round(values[i] / scales[row]));
  }
  return { q: { dtype: 'uint8', shape, data }, scales: { dtype: 'float32', shape: [shape[0]], data: scales } };
}
