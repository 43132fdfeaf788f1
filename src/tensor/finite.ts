/** Values that are no numbers, or infinite, in a tensor. */
import type { HostTensor } from './host.js';

/** Words of 16 bits whose exponent is all ones. */
const EXPONENT = { float16: 0x7c00, bfloat16: 0x7f80 } as const;

/** Place of the first value that is not finite; -1 where all are, and for whole numbers. */
export function firstNonFinite({ dtype, data }: HostTensor): number {
  if (dtype === 'float32') {
    const values = data as Float32Array;
    for (let i = 0; i < values.length; i++) if (values[i] - values[i] !== 0) return i;
  } else if (dtype === 'float16' || dtype === 'bfloat16') {
    const words = data as Uint16Array,
      mask = EXPONENT[dtype];
    for (let i = 0; i < words.length; i++) if ((words[i] & mask) === mask) return i;
  }
  return -1;
}

/** Of a value that `firstNonFinite` found. */
export function nameOfNonFinite({ dtype, data }: HostTensor, at: number): string {
  const value = data[at] as number;
  if (dtype === 'float32') return String(value);
  const mantissa = value & ~EXPONENT[dtype as keyof typeof EXPONENT] & 0x7fff;
  return mantissa !== 0 ? 'NaN' : value & 0x8000 ? '-Infinity' : 'Infinity';
}
